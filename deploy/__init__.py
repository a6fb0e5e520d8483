"""What is needed to run the service elsewhere than on the machine at hand."""
