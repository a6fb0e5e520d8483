"""The `tapcut` command."""
