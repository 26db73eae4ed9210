"""What tests stand on: real servers of their own, simulators and fakes. Nothing here is shipped."""
