"""CEL (cel.dev), evaluated by counted steps: parse, check the types, compile to closures. PURE."""
