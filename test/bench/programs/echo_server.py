"""echo_server.py port: a thread a connection, by the standard library."""

import socketserver
import sys
import threading


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 4096
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # the load has gone


threading.stack_size(256 << 10)
Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
