"""An OpenAI-compatible server that counts every prompt and answers each one in its own, always equal, way."""

import hashlib
import json
import random
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CountingLlm:
    """`prompts`: every prompt that was answered. `delay_s` before each answer; `down` = 503 instead."""

    def __init__(self):
        self.prompts = []
        self.delay_s = 0.0
        self.down = False
        self.broken = ""  # answers with this text where it is in the prompt
        self.base_url = ""


def _answer(schema, draw):
    if "enum" in schema:
        return draw.choice(schema["enum"])
    if schema["type"] == "object":
        made, taken = {}, set()
        for name, part in schema["properties"].items():
            if part.get("type") == "array" and "enum" in part["items"]:
                ids = [one for one in part["items"]["enum"] if one not in taken]
                made[name] = draw.sample(ids, part.get("minItems", 1))
                taken |= set(made[name])
            else:
                made[name] = _answer(part, draw)
        return made
    if schema["type"] == "array":
        return [_answer(schema["items"], draw) for _ in range(schema.get("minItems", 3))]
    return f"likes the {draw.choice(['quiet', 'loud', 'long', 'old'])} ones, number {draw.randrange(1000)}"


@contextmanager
def counting_llm():
    """The server, in a thread, on loopback."""
    double = CountingLlm()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = json.dumps(body["messages"])
            if double.down:
                self._send(503, {"error": {"message": "down"}})
                return
            time.sleep(double.delay_s)
            double.prompts.append(prompt)
            draw = random.Random(hashlib.sha256(prompt.encode()).hexdigest())
            text = json.dumps(_answer(body["response_format"]["json_schema"]["schema"], draw))
            if double.broken and double.broken in prompt:
                text = "no JSON"
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4}
            self._send(200, {"id": "1", "model": "double", "choices": [choice], "usage": usage})

        def _send(self, code, data):
            payload = json.dumps(data).encode()
            try:
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
            except ConnectionError:
                pass  # the command was killed: its answer is lost

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
