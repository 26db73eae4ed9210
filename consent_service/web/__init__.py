"""The pages: server-rendered, NHS.UK look, one thing per page. Nothing here opens a transaction."""
