"""The programs of `make programs`: what each does, the packages of Debian it needs, its files, and the line it ends with."""

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class Program:
    """One program: its name, what it does in words, its command, and the last line that it writes when all went well."""

    name: str
    words: str
    command: tuple[str, ...]
    says: str
    packages: tuple[str, ...] = ()
    files: Mapping[str, str] = field(factory=dict)
    """Text by name, in the folder /program of the image."""

    @property
    def image(self) -> str:
        """The name of its image in the engine."""
        return f"orchestrator-program-{self.name}:1"


def _script(name: str, words: str, start: str, text: str, says: str, *packages: str) -> Program:
    """A program of one file that an interpreter runs."""
    return Program(name, words, (*start.split(), "/program/main"), says, packages, {"main": text})


def _built(name: str, words: str, steps: str, files: Mapping[str, str], says: str, *packages: str) -> Program:
    """A program that a shell builds in /tmp and then starts there."""
    return Program(name, words, ("/bin/sh", "-ec", steps), says, packages, files)


_SHELL = """set -eu
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
seq 1 1000 | sort -rn > "$folder/numbers" &
wait $!
cat <<END
the largest is $(head -n 1 "$folder/numbers")
END
"""
_PERL = """use strict; use warnings;
pipe(my $reader, my $writer) or die "pipe: $!";
my $child = fork() // die "fork: $!";
if (!$child) { close $reader; print $writer join(",", map { $_ ** 2 } 1 .. 5), "\\n"; exit 0; }
close $writer;
chomp(my $line = <$reader>);
waitpid($child, 0);
print "$line from a child that ended with $?\\n";
"""
_PYTHON = """import http.server, threading, urllib.request
server = http.server.HTTPServer(("localhost", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with urllib.request.urlopen(f"http://localhost:{server.server_port}/program/", timeout=30) as answer:
    print("status", answer.status)
"""
_SQLITE = """import sqlite3
base = sqlite3.connect("/tmp/base")
print(base.execute("PRAGMA journal_mode=WAL").fetchone()[0])
with base:
    base.execute("CREATE TABLE numbers (n INTEGER)")
    base.executemany("INSERT INTO numbers VALUES (?)", ((n,) for n in range(100_000)))
print(*base.execute("SELECT sum(n) FROM numbers").fetchone())
"""
_POOL = """from multiprocessing import Pool
def square(n: int) -> int:
    return n * n
if __name__ == "__main__":
    with Pool(4) as pool:
        print(sum(pool.map(square, range(1000))))
"""
_WHEEL = """from zipfile import ZipFile
about = "greet-1.0.dist-info"
with ZipFile("/tmp/greet-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greet.py", "print('greetings')")
    wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\\nName: greet\\nVersion: 1.0\\n")
    wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\\nGenerator: hand\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{about}/RECORD", "")
"""
_PIP = """python3 /program/wheel.py
/usr/bin/python3 -m venv /tmp/venv
/tmp/venv/bin/python -m pip install --quiet --no-index /tmp/greet-1.0-py3-none-any.whl
/tmp/venv/bin/python -c 'import greet'"""
_PYTEST = """import pytest
@pytest.mark.parametrize("n", range(50))
def test_square(n: int, tmp_path) -> None:
    (tmp_path / "square").write_text(str(n * n))
    assert int((tmp_path / "square").read_text()) == n ** 2
"""
_PLOT = """import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plot
plot.plot([n * n for n in range(100)])
plot.savefig("/tmp/plot.png")
print(open("/tmp/plot.png", "rb").read(4)[1:].decode())
"""
_KERNEL = """from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120)
client.execute_interactive("print(6 * 7)", timeout=120)
client.stop_channels()
manager.shutdown_kernel(now=True)
"""
_NODE = """const http = require("http");
const { Worker, isMainThread, parentPort } = require("worker_threads");
if (!isMainThread) { parentPort.postMessage([...Array(1000).keys()].reduce((a, b) => a + b)); }
else new Worker(__filename).once("message", (sum) => {
  const server = http.createServer((_, answer) => answer.end(String(sum)));
  server.listen(0, "localhost", () => http.get({ host: "localhost", port: server.address().port }, (answer) => {
    answer.on("data", (data) => console.log(`sum ${data}`)).on("end", () => server.close());
  }));
});
"""
_RUBY = """require 'socket'
server = TCPServer.new('localhost', 0)
thread = Thread.new { server.accept.tap { |peer| peer.puts 'hello from a thread' }.close }
reader, writer = IO.pipe
fork { writer.puts 'a child' }
Process.wait
answer = TCPSocket.new('localhost', server.addr[1]).gets.chomp
thread.join
puts "#{answer} and #{reader.gets.chomp}"
"""
_PHP = """<?php
$server = stream_socket_server("tcp://localhost:0");
$client = stream_socket_client("tcp://" . stream_socket_get_name($server, false));
fwrite(stream_socket_accept($server), json_encode(array_sum(range(1, 100))) . "\\n");
$name = tempnam(sys_get_temp_dir(), "php");
file_put_contents($name, fgets($client));
echo "sum ", file_get_contents($name);
"""
_LUA = """local file = assert(io.open("/tmp/squares", "w"))
for n = 1, 100 do file:write(n * n, "\\n") end
file:close()
local sum = 0
for line in io.lines("/tmp/squares") do sum = sum + math.tointeger(line) end
print("sum " .. sum)
"""
_C = """#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
static void *work(void *number) { ++*(long *)number; return NULL; }
int main(void) {
  long *numbers = mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), sum = 0;
  pthread_t threads[4];
  if (numbers == MAP_FAILED) return 1;
  for (int n = 0; n < 4; n++) if (pthread_create(&threads[n], NULL, work, numbers + n)) return 2;
  for (int n = 0; n < 4; n++) { pthread_join(threads[n], NULL); sum += numbers[n]; }
  printf("%ld threads\\n", sum);
}
"""
_CPP = """#include <future>
#include <iostream>
#include <map>
#include <string>
int main() {
  std::map<std::string, int> words;
  for (std::string word : {"a", "b", "a"}) ++words[word];
  try { std::async(std::launch::async, [] { throw std::string("thrown in a thread"); }).get(); }
  catch (const std::string &what) { std::cout << words["a"] << ", " << what << std::endl; }
}
"""
_JAVA = """import java.net.*;
import java.util.stream.IntStream;
public class Main {
  public static void main(String[] arguments) throws Exception {
    try (var server = new ServerSocket(0, 1, InetAddress.getByName("localhost"))) {
      var client = new Socket("localhost", server.getLocalPort());
      int sum = IntStream.range(0, 1000).parallel().sum();
      server.accept().getOutputStream().write((sum + "\\n").getBytes());
      System.out.println("sum " + new java.util.Scanner(client.getInputStream()).nextLine());
    }
  }
}
"""
_JAR = """mkdir /tmp/classes
javac -d /tmp/classes /program/Main.java
jar --create --file /tmp/main.jar --main-class Main -C /tmp/classes .
java -jar /tmp/main.jar"""
_GO = """package main
import ("fmt"; "net"; "bufio")
func main() {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil { panic(err) }
	go func() { peer, _ := listener.Accept(); fmt.Fprintln(peer, "hello from a goroutine"); peer.Close() }()
	peer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil { panic(err) }
	line, _ := bufio.NewReader(peer).ReadString('\\n')
	fmt.Print(line)
}
"""
_RUST = """use std::{collections::BTreeMap, thread};
fn main() {
    let threads: Vec<_> = (0..4u64).map(|n| thread::spawn(move || (n, n * n))).collect();
    let squares: BTreeMap<_, _> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    println!("sum {}", squares.values().sum::<u64>());
}
"""
_BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "file:///program/page.html")
_HTML = "<html><body><script>document.body.textContent = 6 * 7</script></body></html>"

PROGRAMS = (
    _script("shell", "temporary folder, background job, pipe, here-document", "/bin/sh", _SHELL, "the largest is 1000"),
    _script("perl", "fork and pipe", "/usr/bin/perl", _PERL, "1,4,9,16,25 from a child that ended with 0"),
    _script("python", "HTTP server and client on localhost", "/usr/bin/python3", _PYTHON, "status 200", "python3"),
    _script("sqlite", "database in /tmp with a write-ahead log", "/usr/bin/python3", _SQLITE, "4999950000", "python3"),
    _script("pool", "multiprocessing pool of 4", "/usr/bin/python3", _POOL, "332833500", "python3"),
    Program(
        "pytest",
        "50 tests with temporary folders",
        ("/bin/sh", "-ec", "/usr/bin/python3 -m pytest -q /program/squares.py\necho all passed"),
        "all passed",
        ("python3-pytest",),
        {"squares.py": _PYTEST},
    ),
    _script("lua", "writes a file and reads it", "lua5.4", _LUA, "sum 338350", "lua5.4"),
    _script("ruby", "thread, socket on localhost, fork", "ruby", _RUBY, "hello from a thread and a child", "ruby"),
    _script("php", "socket on localhost, temporary file", "php", _PHP, "sum 5050", "php-cli"),
    _script("node", "worker thread, HTTP on localhost", "node", _NODE, "sum 499500", "nodejs"),
    _built(
        "c",
        "compiles, then 4 threads in 1 GiB that is mapped and hardly touched",
        "gcc -O2 -pthread -o /tmp/main /program/main.c\n/tmp/main",
        {"main.c": _C},
        "4 threads",
        "gcc",
        "libc6-dev",
    ),
    _built(
        "cpp",
        "compiles, then an exception in a thread",
        "g++ -O2 -pthread -o /tmp/main /program/main.cc\n/tmp/main",
        {"main.cc": _CPP},
        "2, thrown in a thread",
        "g++",
        "libc6-dev",
    ),
    _built(
        "java",
        "javac, jar, then a parallel stream and a socket on localhost",
        _JAR,
        {"Main.java": _JAVA},
        "sum 499500",
        "default-jdk-headless",
    ),
    _built(
        "pip",
        "makes a venv, installs a local wheel",
        _PIP,
        {"wheel.py": _WHEEL},
        "greetings",
        "python3",
        "python3-venv",
    ),
    _script("matplotlib", "draws a PNG", "/usr/bin/python3", _PLOT, "PNG", "python3-matplotlib"),
    _script(
        "jupyter",
        "starts a kernel and lets it compute, over localhost",
        "/usr/bin/python3",
        _KERNEL,
        "42",
        "python3-ipykernel",
        "python3-jupyter-client",
    ),
    _built(
        "go",
        "builds, then a goroutine and a socket on localhost",
        "go build -o /tmp/main /program/main.go\n/tmp/main",
        {"main.go": _GO},
        "hello from a goroutine",
        "golang-go",
    ),
    _built(
        "rust",
        "compiles, then 4 threads",
        "rustc -O -o /tmp/main /program/main.rs\n/tmp/main",
        {"main.rs": _RUST},
        "sum 14",
        "rustc",
    ),
    Program(
        "browser",
        "headless Chromium runs a page's script, its own sandbox off",
        _BROWSER,
        "<html><head></head><body>42</body></html>",
        ("chromium",),
        {"page.html": _HTML},
    ),
)
NOT_RUN = {
    ".NET": "Debian has no package of it",
    "Maven, Gradle": "they fetch what they build with from a network, which a task lacks; `java` builds by hand",
}
"""What belongs to the list and is not in it, and why."""
