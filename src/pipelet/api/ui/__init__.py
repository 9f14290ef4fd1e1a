"""The page under `/ui/`: its files come from `pipelet/web`, as they are."""
