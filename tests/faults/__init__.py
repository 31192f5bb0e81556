"""The fault kit: a cluster of real processes, clients that act like Faye's, and what goes wrong."""
