"""One page that shows what a comparison found, to put in front of somebody."""
