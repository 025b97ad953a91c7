"""CEL (cel.dev), evaluated with a budget of steps: parse, check the types, compile to closures. PURE."""
