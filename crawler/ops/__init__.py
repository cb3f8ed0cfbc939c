"""What an operator does beside crawling: certificates to begin with."""
