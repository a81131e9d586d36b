"""A flight recorder for Realtime voice sessions."""
