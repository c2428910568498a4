"""The outside world: one module for each library, and in-memory twins that ship and that every test can run on."""
