/* Lets files whose path holds FAULT_PATH fail: at opening, or at reading where FAULT_AT is
   "read". FAULT_ERRNO is the number of the error. A process that opens a file whose path
   holds FAULT_SIGNAL_PATH sends itself SIGSEGV. Loaded by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char faulty[65536];

static int holds(const char *path, const char *name) {
    const char *part = getenv(name);
    return part && path && strstr(path, part);
}

static int is_meant(const char *path) {
    if (holds(path, "FAULT_SIGNAL_PATH")) raise(SIGSEGV);
    return holds(path, "FAULT_PATH");
}

static int fails_at_read(void) {
    const char *at = getenv("FAULT_AT");
    return at && !strcmp(at, "read");
}

static int fail(void) {
    errno = atoi(getenv("FAULT_ERRNO"));
    return -1;
}

static int noted(int fd, const char *path) {
    if (fd >= 0 && fd < (int)sizeof faulty) faulty[fd] = (char)is_meant(path);
    return fd;
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...) {                            \
        va_list list;                                                       \
        va_start(list, flags);                                              \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                       \
        if (is_meant(path) && !fails_at_read()) return fail();              \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);      \
        return noted(real(path, flags, mode), path);                        \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                        \
    int name(int folder, const char *path, int flags, ...) {                \
        va_list list;                                                       \
        va_start(list, flags);                                              \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                       \
        if (is_meant(path) && !fails_at_read()) return fail();              \
        int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, #name); \
        return noted(real(folder, path, flags, mode), path);                \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t read(int fd, void *buffer, size_t size) {
    if (fd >= 0 && fd < (int)sizeof faulty && faulty[fd]) return fail();
    ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    return real(fd, buffer, size);
}
