"""Serves a folder over https to those who present a token: ADDRESS PORT CERTIFICATE KEY FOLDER TOKEN."""

import functools
import http.server
import ssl
import sys

address, port, certificate, key, folder, token = sys.argv[1:]


class Files(http.server.SimpleHTTPRequestHandler):
    def send_head(self):
        if self.headers["Authorization"] != f"Bearer {token}":
            self.send_error(401)
            return None
        return super().send_head()


server = http.server.ThreadingHTTPServer((address, int(port)), functools.partial(Files, directory=folder))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
