"""From a request to rows: check (pure) → batch (pure) → writer (group commit)."""
