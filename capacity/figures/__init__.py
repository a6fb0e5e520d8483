"""The pictures of docs/capacity.md, drawn from the files in `capacity/results/`."""
