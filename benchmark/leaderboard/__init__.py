"""The leaderboard: a view of the records."""
