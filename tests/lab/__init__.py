"""A laboratory: hosts on one machine, with a network and clocks that can be broken."""
