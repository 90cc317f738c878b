"""Who starts next and why the others wait: `rules` says it plainly, `queue` quickly."""
