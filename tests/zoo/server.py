"""An https server on this machine that answers as tests tell it to, and certificates that it is trusted by."""
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme


class Server(ThreadingHTTPServer):
    """Serves ``files`` (path -> bytes), and writes down what it is asked for.

    Attributes:
        files: What there is.
        asked: (path, Range header or None) of each request.
        answers: path -> list of functions of the handler that answer the next requests, one after the other.
        continues: Whether it knows ranges.
    """
    daemon_threads = True

    def __init__(self, folder):
        super().__init__(('localhost', 0), Handler)
        authority = trustme.CA()
        self.certificate = str(folder / 'authority.pem')
        authority.cert_pem.write_to_path(self.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert('localhost').configure_cert(context)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.files, self.asked, self.answers, self.continues = {}, [], {}, True
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f'https://localhost:{self.server_port}/{path}'

    def handle_error(self, request, client_address):
        """A client that has gone away, which is what some tests do."""


class Handler(BaseHTTPRequestHandler):

    def do_GET(self):
        path, part = self.path.lstrip('/'), self.headers.get('Range')
        self.server.asked.append((path, part))
        answers = self.server.answers.get(path)
        if answers:
            return answers.pop(0)(self)
        self.send_file()

    def send_file(self, stop=None):
        content = self.server.files.get(self.path.lstrip('/'))
        if content is None:
            return self.send_error(404, 'Not Found')
        part, start = self.headers.get('Range'), 0
        if part and self.server.continues:
            start = int(part.removeprefix('bytes=').rstrip('-'))
            if start >= len(content):
                return self.send_error(416, 'Range Not Satisfiable')
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        else:
            self.send_response(200)
        self.send_header('Content-Length', str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:stop])

    def log_message(self, *args):
        pass


def cut_off(after):
    """Sends the beginning of the file, up to a byte, and closes the connection."""
    return lambda handler: handler.send_file(stop=after)


def silence(handler):
    time.sleep(3)


def status(code, reason):
    return lambda handler: handler.send_error(code, reason)


def redirect(url):
    def answer(handler):
        handler.send_response(302)
        handler.send_header('Location', url)
        handler.send_header('Content-Length', '0')
        handler.end_headers()
    return answer


def endless(handler):
    """More and more, without saying how much."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(bytes(2**16))
