"""The screen that one steers from: `ticketd status --watch` on a terminal. The only user of Textual."""
