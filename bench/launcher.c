/* Starts commands and times them, so that neither Python's time nor its memory is in what is measured.
 *
 * A request on stdin is a length (32 bits) and strings, each ended by a zero byte: "sequence" or "at once", then the words of
 * each command, an empty string after each. In a sequence "@wait FILE" waits for the process whose number FILE holds: it is
 * reaped here, as containerd's shim does it.
 * The answer is a line: for each command wall clock (ns), processor time (us), peak memory (KiB), context switches and
 * wait status; commands at once are answered as one, with the greatest memory and status.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HUNG_AFTER_MS = 10000, WORDS = 4096, AT_ONCE = 256 };

struct result {
    int64_t wall, cpu;
    long memory, switches;
    int status;
};

static char request[1 << 18];
static int null, errors;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t microseconds(struct timeval t)
{
    return t.tv_sec * 1000000LL + t.tv_usec;
}

static pid_t spawn(char **words)
{
    pid_t child = vfork();
    if (child == 0) {
        dup2(null, 0);
        dup2(null, 1);
        dup2(errors, 2);
        execv(words[0], words);
        _exit(127);
    }
    return child;
}

/* Waits for a child, and kills it if it hangs. */
static void reap(pid_t child, struct result *result)
{
    struct pollfd end = {.fd = syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
    struct rusage usage = {0};
    if (end.fd >= 0 && poll(&end, 1, HUNG_AFTER_MS) == 0)
        kill(child, SIGKILL);
    close(end.fd);
    while (wait4(child, &result->status, 0, &usage) < 0 && errno == EINTR)
        ;
    result->cpu += microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    result->switches += usage.ru_nvcsw + usage.ru_nivcsw;
    if (usage.ru_maxrss > result->memory)
        result->memory = usage.ru_maxrss;
}

static void wait_for(const char *file, struct result *result)
{
    char number[32] = {0};
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, number, sizeof number - 1) <= 0)
        result->status = -1;
    else
        reap(atoi(number), result);
    close(fd);
}

/* The words of the next command; they stand until the one after that is read. */
static char **command(char **at)
{
    static char *words[WORDS];
    char **word = words;
    for (; **at && word < words + WORDS - 1; *at += strlen(*at) + 1)
        *word++ = *at;
    *word = NULL;
    ++*at;
    return words;
}

static void print(const struct result *r)
{
    printf("%lld %lld %ld %ld %d ", (long long)r->wall, (long long)r->cpu, r->memory, r->switches, r->status);
}

static void sequence(char *at, const char *end)
{
    while (at < end) {
        char **words = command(&at);
        struct result result = {0};
        int64_t start = now();
        if (strcmp(words[0], "@wait") == 0)
            wait_for(words[1], &result);
        else
            reap(spawn(words), &result);
        result.wall = now() - start;
        print(&result);
    }
}

static void at_once(char *at, const char *end)
{
    pid_t children[AT_ONCE];
    struct result all = {0};
    int count = 0;
    int64_t start = now();
    while (at < end && count < AT_ONCE)
        children[count++] = spawn(command(&at));
    for (int i = 0; i < count; i++) {
        int before = all.status;
        reap(children[i], &all);
        if (before)
            all.status = before;
    }
    all.wall = now() - start;
    print(&all);
}

static int read_all(void *buffer, size_t length)
{
    for (char *at = buffer; length;) {
        ssize_t got = read(0, at, length);
        if (got <= 0)
            return -1;
        at += got;
        length -= got;
    }
    return 0;
}

int main(int count, char **words)
{
    uint32_t length;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    errors = count > 1 ? open(words[1], O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : null;
    while (read_all(&length, sizeof length) == 0 && length < sizeof request && read_all(request, length) == 0) {
        char *first = request + strlen(request) + 1;
        (strcmp(request, "sequence") == 0 ? sequence : at_once)(first, request + length);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ; /* what else was reparented to us and has ended */
        puts("");
        fflush(stdout);
    }
    return 0;
}
