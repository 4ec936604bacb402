"""An OpenAI-compatible server that counts its calls and fills any JSON schema; on loopback, in a thread.

The real embedded LLM has its contract tests in `tests/knowledge`; here a server is needed that can be slow, broken
and counted on demand.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LlmDouble:
    """`mode`: ok, down (503), cut (finish_reason=length). `gate` cleared = answers wait."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.mode = "ok"
        self.gate = threading.Event()
        self.gate.set()
        self.base_url = ""

    @property
    def calls(self) -> int:
        return len(self.prompts)


def fill(schema, taken=()):
    """A value that fills a JSON schema; picks of enums differ from `taken`."""
    if "enum" in schema:
        return next(value for value in schema["enum"] if value not in taken)
    if schema["type"] == "object":
        made = {}
        used = []
        for name, part in schema["properties"].items():
            made[name] = fill(part, used)
            if isinstance(made[name], list):
                used += made[name]
        return made
    if schema["type"] == "array":
        values = []
        for _ in range(schema.get("minItems", 1)):
            values.append(fill(schema["items"], [*taken, *values]))
        return values
    return "a sentence about taste"


@contextmanager
def llm_double():
    double = LlmDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            double.prompts.append(body["messages"][-1]["content"])
            double.gate.wait(60)
            if double.mode == "down":
                self.answer(503, {"error": {"message": "down"}})
                return
            schema = body["response_format"]["json_schema"]["schema"]
            reason = "length" if double.mode == "cut" else "stop"
            message = {"role": "assistant", "content": json.dumps(fill(schema))}
            self.answer(
                200,
                {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": "double",
                    "choices": [{"index": 0, "finish_reason": reason, "message": message}],
                    "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
                },
            )

        def answer(self, code, data):
            payload = json.dumps(data).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.gate.set()
        server.shutdown()
        server.server_close()
