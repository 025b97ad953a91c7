"""The page: its built files, and what serves them under `/ui/`. Its source is in `ui/` at the top of the repository."""
