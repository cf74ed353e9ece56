/* What no test may do to its machine, done to one process: its clock is set, names cannot be
 * resolved, a disk is full. Loaded before libc; each function does what libc does, and then what a file asks for.
 *
 *   ADVERSITY_CLOCK_FILE  seconds to add to the wall clock
 *   ADVERSITY_DISK_FILE   "full" or "read-only", and a folder: so its disk is
 *   ADVERSITY_DNS_FILE    while it exists, no name but a numeric address is resolved; else every
 *                         name is this machine
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *path = getenv("ADVERSITY_CLOCK_FILE");
    if (result || clock != CLOCK_REALTIME || !path) return result;
    FILE *file = fopen(path, "r");
    long seconds = 0;
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    now->tv_sec += seconds;
    return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real)
        real = (int (*)(const char *, const char *, const struct addrinfo *,
                        struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("ADVERSITY_DNS_FILE");
    if (!path) return real(name, service, hints, found);
    if (access(path, F_OK) == 0) return EAI_AGAIN;
    return real("127.0.0.1", service, hints, found);
}

/* The errno for a change of `path`, or 0. */
static int disk_error(const char *path) {
    const char *file_name = getenv("ADVERSITY_DISK_FILE");
    FILE *file = file_name ? fopen(file_name, "re") : NULL;
    if (!file) return 0;
    char word[16], folder[512];
    int read = fscanf(file, "%15s %511s", word, folder);
    fclose(file);
    if (read != 2 || strncmp(path, folder, strlen(folder))) return 0;
    return strcmp(word, "full") ? EROFS : ENOSPC;
}

/* The same for what is written to an open file. */
static int write_error(int descriptor) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/') return 0;
    path[length] = 0;
    return disk_error(path);
}

int mkdir(const char *path, mode_t mode) {
    static int (*real)(const char *, mode_t);
    if (!real) real = (int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir");
    int error = disk_error(path);
    if (error) return errno = error, -1;
    return real(path, mode);
}

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    int error = (flags & O_ACCMODE) == O_RDONLY ? 0 : disk_error(path);
    if (error) return errno = error, -1;
    return real(path, flags, mode);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    int error = write_error(descriptor);
    if (error) return errno = error, -1;
    return real(descriptor, bytes, length);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    int error = write_error(descriptor);
    if (error) return errno = error, -1;
    return real(descriptor, bytes, length, offset);
}
