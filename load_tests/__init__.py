"""Load tests: personas, a day's shape, pass limits and the report (`make load`, docs/load.md)."""
