"""The panel's door: a page in the browser, over HTTP and WebSocket, while somebody wants it.

`door` alone is imported with the engine; the rest, and the libraries that it needs, when a panel
is opened.
"""
