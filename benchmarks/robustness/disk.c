/* A disk that fails, or that tells what is done to it; for LD_PRELOAD on Linux.

   Calls below a folder are watched, by whatever library they are made. `disk_list` writes down of
   what kind each is, `disk_fail` lets one of a kind fail, `disk_record` writes a log of all that is
   changed. benchmarks/robustness/disk.py uses them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 65536, PATH = 4096, SHORT = -1, FULL = -2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH];           /* "" where nothing is watched */
static char *paths[FILES];          /* of open files below the folder */
static long handles[FILES], opened; /* a number for each opening */
static char failing[PATH + 64];     /* the kind of call of which one fails; "" for none */
static long before;                 /* how many of them are to succeed before it */
static int wanted;                  /* its errno, or SHORT, or FULL */
static char failed[PATH + 64];      /* what it was; "" until it has come */
static FILE *record, *list;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void disk_watch(const char *path) {
    pthread_mutex_lock(&lock);
    snprintf(folder, PATH, "%s", path);
    failing[0] = failed[0] = 0;
    pthread_mutex_unlock(&lock);
}

/* A call of this kind, after so many others of it, fails with this errno; with SHORT a write writes
   half. With FULL the disk is full from that call on: nothing is written, opened to be written or
   made. */
void disk_fail(const char *kind, long others, int error) {
    pthread_mutex_lock(&lock);
    snprintf(failing, sizeof failing, "%s", kind);
    before = others;
    wanted = error;
    failed[0] = 0;
    pthread_mutex_unlock(&lock);
}

const char *disk_failed(void) { return failed; }

void disk_record(const char *file) {
    pthread_mutex_lock(&lock);
    if (record) fclose(record);
    record = file ? fopen(file, "wb") : NULL;
    pthread_mutex_unlock(&lock);
}

static int watched(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static void whole(int at, const char *path, char *out) {
    if (path[0] == '/')
        snprintf(out, PATH, "%s", path);
    else if (at >= 0 && at < FILES && paths[at])
        snprintf(out, PATH, "%s/%s", paths[at], path);
    else if (at == AT_FDCWD && getcwd(out, PATH)) {
        size_t length = strlen(out);
        snprintf(out + length, PATH - length, "/%s", path);
    } else
        out[0] = 0;
}

/* Writes the kind of each call to a file, a line each; to none for NULL. */
void disk_list(const char *file) {
    pthread_mutex_lock(&lock);
    if (list) fclose(list);
    list = file ? fopen(file, "w") : NULL;
    pthread_mutex_unlock(&lock);
}

/* The kind of a call: what it is and the path below the folder, with N for numbers and # for
   digests. */
static void kind_of(const char *what, const char *path, char *out, size_t size) {
    size_t length = snprintf(out, size, "%s ", what);
    path += strlen(folder);
    while (*path && length + 2 < size) {
        size_t digest = strspn(path, "0123456789abcdef"), number = strspn(path, "0123456789");
        if (digest >= 16 || number) {
            out[length++] = digest >= 16 ? '#' : 'N';
            path += digest >= 16 ? digest : number;
        } else
            out[length++] = *path++;
    }
    out[length] = 0;
}

/* 1 where a call is to fail, and errno says how; it is to be short where that is SHORT. */
static int fails(const char *what, const char *path) {
    char kind[PATH + 64];
    kind_of(what, path, kind, sizeof kind);
    if (list) fprintf(list, "%s\n", kind);
    if (failed[0]) {
        if (wanted != FULL) return 0;
        if (strcmp(what, "write") && strcmp(what, "open to write") && strcmp(what, "mkdir")) return 0;
    } else {
        if (strcmp(kind, failing) || before--) return 0;
        snprintf(failed, sizeof failed, "%s %s", what, path);
    }
    errno = wanted == FULL ? ENOSPC : wanted;
    return 1;
}

static void note(const char *what, long handle, long offset, const char *a, const char *b,
                 size_t length) {
    if (!record) return;
    fprintf(record, "%s\t%ld\t%ld\t%zu\t%s\n", what, handle, offset, length, a);
    if (length) fwrite(b, 1, length, record);
    fflush(record);
}

static int opening(int at, const char *path, int flags, mode_t mode,
                   int (*real)(int, const char *, int, ...)) {
    char full[PATH];
    whole(at, path, full);
    if (!watched(full)) return real(at, path, flags, mode);
    pthread_mutex_lock(&lock);
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    int found = -1;
    if (!fails(writes ? "open to write" : "open to read", full) || wanted == SHORT) {
        found = real(at, path, flags, mode);
        if (found >= 0 && found < FILES) {
            free(paths[found]);
            paths[found] = strdup(full);
            handles[found] = ++opened;
            note(flags & O_TRUNC ? "truncate" : writes ? "open" : "look", opened, 0, full, NULL, 0);
        }
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return found;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                  \
        va_end(more);                                                                              \
        return opening(AT_FDCWD, path, flags, mode, REAL(openat));                                 \
    }
#define OPENAT(name)                                                                               \
    int name(int at, const char *path, int flags, ...) {                                           \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                  \
        va_end(more);                                                                              \
        return opening(at, path, flags, mode, REAL(openat));                                       \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int file) {
    if (file >= 0 && file < FILES && paths[file]) {
        pthread_mutex_lock(&lock);
        free(paths[file]);
        paths[file] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return REAL(close)(file);
}

static int ours(int file) { return file >= 0 && file < FILES && paths[file]; }

static ssize_t writing(int file, const void *data, size_t size, off_t offset, int placed) {
    if (!ours(file))
        return placed ? REAL(pwrite)(file, data, size, offset) : REAL(write)(file, data, size);
    pthread_mutex_lock(&lock);
    ssize_t done = -1;
    int fail = fails("write", paths[file]);
    if (!fail || wanted == SHORT) {
        if (fail && size > 1) size /= 2;
        struct stat now;
        fstat(file, &now);
        off_t at = placed ? offset : lseek(file, 0, SEEK_CUR);
        if (!placed && fcntl(file, F_GETFL) & O_APPEND) at = now.st_size;
        done = placed ? REAL(pwrite)(file, data, size, offset) : REAL(write)(file, data, size);
        if (done > 0) note("write", handles[file], at, paths[file], data, done);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int file, const void *data, size_t size) { return writing(file, data, size, 0, 0); }
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
    return writing(file, data, size, offset, 1);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) {
    return writing(file, data, size, offset, 1);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    if (!ours(file)) return REAL(writev)(file, parts, count);
    ssize_t all = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = writing(file, parts[i].iov_base, parts[i].iov_len, 0, 0);
        if (done < 0) return all ? all : done;
        all += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return all;
}

static int reading(int file) {
    if (!ours(file)) return 0;
    pthread_mutex_lock(&lock);
    int fail = fails("read", paths[file]) && wanted != SHORT;
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return fail;
}
ssize_t read(int file, void *data, size_t size) {
    return reading(file) ? -1 : REAL(read)(file, data, size);
}
ssize_t pread(int file, void *data, size_t size, off_t offset) {
    return reading(file) ? -1 : REAL(pread)(file, data, size, offset);
}
ssize_t pread64(int file, void *data, size_t size, off64_t offset) {
    return reading(file) ? -1 : REAL(pread)(file, data, size, offset);
}

static int flushing(int file, int (*real)(int)) {
    if (!ours(file)) return real(file);
    pthread_mutex_lock(&lock);
    int done = -1;
    if (!fails("fsync", paths[file]) || wanted == SHORT) {
        done = real(file);
        if (!done) note("fsync", handles[file], 0, paths[file], NULL, 0);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int fsync(int file) { return flushing(file, REAL(fsync)); }
int fdatasync(int file) { return flushing(file, REAL(fdatasync)); }

static int renaming(int from, const char *old, int to, const char *new) {
    char a[PATH], b[PATH];
    whole(from, old, a);
    whole(to, new, b);
    if (!watched(b)) return REAL(renameat)(from, old, to, new);
    pthread_mutex_lock(&lock);
    int done = -1;
    if (!fails("rename", b) || wanted == SHORT) {
        done = REAL(renameat)(from, old, to, new);
        if (!done) note("rename", 0, 0, a, b, strlen(b));
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int rename(const char *old, const char *new) { return renaming(AT_FDCWD, old, AT_FDCWD, new); }
int renameat(int from, const char *old, int to, const char *new) {
    return renaming(from, old, to, new);
}
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    return flags ? REAL(renameat2)(from, old, to, new, flags) : renaming(from, old, to, new);
}

int mkdirat(int at, const char *path, mode_t mode) {
    char full[PATH];
    whole(at, path, full);
    if (!watched(full)) return REAL(mkdirat)(at, path, mode);
    pthread_mutex_lock(&lock);
    int done = -1;
    if (!fails("mkdir", full) || wanted == SHORT) {
        done = REAL(mkdirat)(at, path, mode);
        if (!done) note("mkdir", 0, 0, full, NULL, 0);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* Removing is watched for the log alone. */
int unlinkat(int at, const char *path, int flags) {
    char full[PATH];
    whole(at, path, full);
    int done = REAL(unlinkat)(at, path, flags);
    if (!done && watched(full)) {
        pthread_mutex_lock(&lock);
        note("remove", 0, 0, full, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

static int shortening(int file, off_t size, int (*real)(int, off_t)) {
    int done = real(file, size);
    if (!done && ours(file)) {
        pthread_mutex_lock(&lock);
        note("shorten", handles[file], size, paths[file], NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
int ftruncate(int file, off_t size) { return shortening(file, size, REAL(ftruncate)); }
int ftruncate64(int file, off64_t size) { return shortening(file, size, REAL(ftruncate)); }
