/* The program of a waiting container: waits for a task's program on stdin, then becomes it.
 *
 * `scripts/handover.py` compiles it; `handover_code.py` has the machine code, and `handover.py` writes what it reads. It is
 * the child of the engine's init, as a task's program is. So it looks for the program as that init does (execvp of glibc),
 * and says and exits the same when there is none.
 *
 * It reads 32 bits with the size of the rest, then five numbers of 32 bits: whether stdin goes on, and how many arguments,
 * variables, bytes of the begin line and error texts follow. Then: the begin line, and strings that end with a NUL: the folder
 * (empty: stay), the arguments, the variables, the error texts by errno.
 */

typedef unsigned long word;
typedef unsigned int number;

enum { ENOENT = 2, ENOEXEC = 8, EACCES = 13, ENODEV = 19, ENOTDIR = 20, ENAMETOOLONG = 36, ETIMEDOUT = 110, ESTALE = 116 };
enum { NEVER_BEGAN = 91, NOT_FOUND = 127, NOT_EXECUTABLE = 126, OTHER = 1, LONGEST_NAME = 255, LONGEST_PATH = 4095 };
enum { HERE = -100, READ_WRITE = 2, MAY_READ_AND_WRITE = 3, PRIVATE_MEMORY = 0x22 };

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, MMAP = 9, GETPID = 39, EXECVE = 59, CHDIR = 80, EXIT = 231, OPENAT = 257, DUP3 = 292, CLOSE = 3 };
__asm__(".section .begin,\"ax\"\n.globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall wait_and_become\n");

static long call(long which, word a, word b, word c, word d, word e, word f) {
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    register word r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(which), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, MMAP = 222, GETPID = 172, EXECVE = 221, CHDIR = 49, EXIT = 94, OPENAT = 56, DUP3 = 24, CLOSE = 57 };
__asm__(".section .begin,\"ax\"\n.globl _start\n_start: mov x0, sp\nbl wait_and_become\n");

static long call(long which, word a, word b, word c, word d, word e, word f) {
    register long x8 __asm__("x8") = which;
    register word x0 __asm__("x0") = a;
    register word x1 __asm__("x1") = b;
    register word x2 __asm__("x2") = c;
    register word x3 __asm__("x3") = d;
    register word x4 __asm__("x4") = e;
    register word x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#endif

static void leave(int code) {
    for (;;) call(EXIT, code, 0, 0, 0, 0, 0);
}

static void *room(word bytes) {
    long at = call(MMAP, 0, bytes, MAY_READ_AND_WRITE, PRIVATE_MEMORY, -1, 0);
    if (at < 0 && at > -4096) leave(NEVER_BEGAN);
    return (void *)at;
}

/* An end of stdin before the last byte means that the worker has died: then no program has begun. */
static void receive(char *to, word bytes) {
    while (bytes) {
        long got = call(READ, 0, (word)to, bytes, 0, 0, 0);
        if (got <= 0) leave(NEVER_BEGAN);
        to += got;
        bytes -= got;
    }
}

static void send(int where, const char *from, word bytes) {
    while (bytes) {
        long sent = call(WRITE, where, (word)from, bytes, 0, 0, 0);
        if (sent <= 0) return;
        from += sent;
        bytes -= sent;
    }
}

static word length(const char *text) {
    word size = 0;
    while (text[size]) size++;
    return size;
}

static char *copy(char *to, const char *from, word bytes) {
    for (word at = 0; at < bytes; at++) to[at] = from[at];
    return to + bytes;
}

/* The value of a variable in `set` if that is the one that `name`, which may have a value, begins with. */
static const char *value(const char *set, const char *name) {
    word at = 0;
    while (name[at] && name[at] != '=' && set[at] == name[at]) at++;
    return (!name[at] || name[at] == '=') && set[at] == '=' ? set + at + 1 : 0;
}

/* Execute a file; one without a known format is a script for the shell. The error. */
static int execute(const char *file, char **arguments, char **variables) {
    long error = -call(EXECVE, (word)file, (word)arguments, (word)variables, 0, 0, 0);
    if (error == ENOEXEC) {
        char *first = arguments[0];
        arguments[-1] = (char *)"/bin/sh";
        arguments[0] = (char *)file;
        error = -call(EXECVE, (word)arguments[-1], (word)(arguments - 1), (word)variables, 0, 0, 0);
        arguments[0] = first;
    }
    return error;
}

/* Look for the program as execvp does. The error. */
static int become(char **arguments, char **variables) {
    const char *file = arguments[0], *path = "/bin:/usr/bin";
    word size = length(file);
    int refused = 0, error = ENOENT;
    if (!size) return ENOENT;
    for (word at = 0; at < size; at++)
        if (file[at] == '/') return execute(file, arguments, variables);
    if (size > LONGEST_NAME) return ENAMETOOLONG;
    for (char **each = variables; *each; each++)
        if (value(*each, "PATH")) {
            path = value(*each, "PATH");
            break;
        }
    char *candidate = room(LONGEST_PATH + LONGEST_NAME + 3);
    for (;; path++) {
        word folder = 0;
        while (path[folder] && path[folder] != ':') folder++;
        if (folder <= LONGEST_PATH) {
            char *end = copy(candidate, path, folder);
            if (folder) *end++ = '/';
            copy(end, file, size + 1);
            error = execute(candidate, arguments, variables);
            refused |= error == EACCES;
            if (error != EACCES && error != ENOENT && error != ESTALE && error != ENOTDIR && error != ENODEV && error != ETIMEDOUT)
                return error;
        }
        path += folder;
        if (!*path) break;
    }
    return refused ? EACCES : error;
}

/* What the engine's init says when there is no program. */
static void complain(const char *file, const char *why) {
    char digits[12], *digit = digits + sizeof digits;
    number process = call(GETPID, 0, 0, 0, 0, 0, 0);
    do *--digit = '0' + process % 10;
    while (process /= 10);
    char *text = room(length(file) + length(why) + 64), *end = text;
    end = copy(end, "[FATAL tini (", 13);
    end = copy(end, digit, digits + sizeof digits - digit);
    end = copy(end, ")] exec ", 8);
    end = copy(end, file, length(file));
    end = copy(end, " failed: ", 9);
    end = copy(end, why, length(why));
    *end++ = '\n';
    send(2, text, end - text);
}

static char *strings(char *from, number count, char **to) {
    for (number at = 0; at < count; at++) {
        to[at] = from;
        from += length(from) + 1;
    }
    return from;
}

void wait_and_become(word *stack) {
    char **own = (char **)(stack + stack[0] + 2);
    number size, *heads;
    word known = 0;
    receive((char *)&size, sizeof size);
    heads = room(size);
    receive((char *)heads, size);
    number argc = heads[1], envc = heads[2], line = heads[3], errors = heads[4];
    while (own[known]) known++;
    char **arguments = (char **)room((argc + 2 * envc + errors + known + 8) * sizeof(char *)) + 1;
    char **given = arguments + argc + 1, **texts = given + envc, **variables = texts + errors, **end = variables;
    char *begin = (char *)(heads + 5), *folder = begin + line, *rest = folder + length(folder) + 1;
    rest = strings(rest, argc, arguments);
    rest = strings(rest, envc, given);
    strings(rest, errors, texts);
    for (word at = 0; at < known; at++) {
        *end = own[at];
        for (number other = 0; other < envc; other++)
            if (given[other] && value(own[at], given[other])) {
                *end = given[other];
                given[other] = 0;
                break;
            }
        end++;
    }
    for (number at = 0; at < envc; at++)
        if (given[at]) *end++ = given[at];
    if (!heads[0]) {
        long nothing = call(OPENAT, HERE, (word) "/dev/null", READ_WRITE, 0, 0, 0);
        if (nothing < 0) leave(NEVER_BEGAN);
        call(DUP3, nothing, 0, 0, 0, 0, 0);
        call(CLOSE, nothing, 0, 0, 0, 0, 0);
    }
    if (*folder && call(CHDIR, (word)folder, 0, 0, 0, 0, 0) < 0) leave(NEVER_BEGAN);
    if (call(WRITE, 1, (word)begin, line, 0, 0, 0) != (long)line) leave(NEVER_BEGAN);
    int error = become(arguments, variables);
    complain(arguments[0], (number)error < errors ? texts[error] : "Unknown error");
    leave(error == ENOENT ? NOT_FOUND : error == EACCES ? NOT_EXECUTABLE : OTHER);
}
