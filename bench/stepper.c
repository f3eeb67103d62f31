/* stepper OUT PROGRAM ARGS...: runs a static program and its children instruction by instruction and appends to OUT the
 * addresses that were executed, one a line, `first` before what the first process executed and `child` before what another did, each
 * once and in the order in which they came. A child is let go when it executes another program, and when the first process has ended. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOW = 0x400000, SPAN = 16 << 20 }; /* where a static program without relocations is linked to */

enum { CHILDREN = 64 };

static char seen[2][SPAN]; /* by the first process, by any other */
static pid_t children[CHILDREN];

/* Keeps count of those that are traced; in place of a pid that is no longer there it takes another. */
static void replace(pid_t old, pid_t new) {
    for (int i = 0; i < CHILDREN; i++)
        if (children[i] == old) {
            children[i] = new;
            return;
        }
}

static int is_known(pid_t pid) {
    for (int i = 0; i < CHILDREN; i++)
        if (children[i] == pid)
            return 1;
    return 0;
}

/* Only what stands still can be let go. */
static void let_go(pid_t pid) {
    int status;
    kill(pid, SIGSTOP);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
        int stopped = WSTOPSIG(status) == SIGSTOP;
        if (ptrace(stopped ? PTRACE_DETACH : PTRACE_CONT, pid, 0, 0) < 0 || stopped)
            return;
    }
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void note(FILE *out, pid_t pid, int is_child) {
    errno = 0;
    unsigned long place = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), 0);
    if (errno || place < LOW || place - LOW >= SPAN || seen[is_child][place - LOW])
        return;
    seen[is_child][place - LOW] = 1;
    fprintf(out, "%s %lx\n", is_child ? "child" : "first", place);
}

int main(int count, char **words) {
    if (count < 3) {
        fputs("usage: stepper OUT PROGRAM ARGS...\n", stderr);
        return 2;
    }
    FILE *out = fopen(words[1], "a");
    if (!out)
        die(words[1]);
    pid_t first = fork();
    if (first < 0)
        die("fork");
    if (first == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(words[2], words + 2);
        die(words[2]);
    }
    int status, code = 1;
    waitpid(first, &status, 0);
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, first, 0, options) < 0)
        die("ptrace");
    ptrace(PTRACE_SINGLESTEP, first, 0, 0);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            replace(pid, 0);
            if (pid != first)
                continue;
            code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            break;
        }
        if (pid != first && !is_known(pid))
            replace(0, pid);
        if (status >> 16 == PTRACE_EVENT_EXEC && pid != first) {
            ptrace(PTRACE_DETACH, pid, 0, 0);
            replace(pid, 0);
            continue;
        }
        int signal = WSTOPSIG(status);
        note(out, pid, pid != first);
        ptrace(PTRACE_SINGLESTEP, pid, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
    }
    for (int i = 0; i < CHILDREN; i++)
        if (children[i])
            let_go(children[i]);
    return fclose(out) == 0 ? code : 1;
}
