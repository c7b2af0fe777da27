#include "base/way.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

/* To go through a folder one need not be allowed to read it. */
#define GO_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* How many links are followed: as many as the kernel does. */
#define LINKS_MAX 40

struct way {
    const char *dir; /* as the user named it */
    bool make;
    bool made;          /* something was */
    int at;             /* the folder that is reached */
    struct buffer path; /* its name, without links */
    struct buffer rest; /* what is still to be gone; its last own bytes are of dir, what is before them of links */
    size_t own;
    unsigned links;
    struct buffer *fault;
};

/* Who is trusted. */

/* Whether uid is the one that a user namespace shows in place of those it doesn't know, and root of the one around it is
 * among these: in a container without root all folders that the host's root owns have it, / perhaps too. */
static bool
is_outer_root(uid_t uid)
{
    struct buffer text = {NULL, 0, 0};
    unsigned long unknown = 65534;
    bool known = file_read("/proc/self/uid_map", &text) != 0 || text.len == 0;

    /* A line a range: its first number here, its first number outside, how many. */
    for (const char *line = buffer_text(&text); !known && *line != '\0'; line += *line == '\n') {
        char *outside, *count;
        strtoul(line, &outside, 10);
        known = strtoul(outside, &count, 10) == 0;
        line = count + strcspn(count, "\n");
    }
    buffer_clear(&text);
    if (!known && file_read("/proc/sys/kernel/overflowuid", &text) == 0)
        unknown = strtoul(buffer_text(&text), NULL, 10);
    buffer_free(&text);
    return !known && uid == unknown;
}

/* Append whose it is, who may have it instead, and what to do; always −1, with the errno that names it. */
static int
refuse_owner(struct way *way, const struct stat *info, const char *path, const char *deed)
{
    const unsigned us = (unsigned)geteuid();

    buffer_printf(way->fault, "the way to %s goes through %s, which %s user %u, who can lead it anywhere; allowed on it is "
                  "what belongs to root or to user %u, as whom this runs: name another folder, or, if nobody else needs "
                  "it: chown -h %u %s", way->dir, path, deed, (unsigned)info->st_uid, us, us, path);
    errno = EPERM;
    return -1;
}

/* Append what the system says of path; always −1, with errno as it is. */
static int
fail(struct way *way, const char *path)
{
    const int error = errno;

    buffer_printf(way->fault, "folder %s can't be %s: %s", path, way->make ? "made" : "opened", strerror(error));
    errno = error;
    return -1;
}

/* Whether the folder that is reached may be gone through. */
static int
check_reached(struct way *way)
{
    const char *path = buffer_text(&way->path);
    struct stat info;

    if (fstat(way->at, &info) != 0)
        return fail(way, path);
    if (!file_is_ours(&info) && !is_outer_root(info.st_uid))
        return refuse_owner(way, &info, path, "belongs to");
    if ((info.st_mode & S_IWOTH) == 0 || (info.st_mode & S_ISVTX) != 0)
        return 0;
    buffer_printf(way->fault, "the way to %s goes through %s, which has mode %04o, so that everybody can lead it anywhere; "
                  "allowed on it is a folder in which others may not write, or one with the sticky bit: chmod o-w %s",
                  way->dir, path, (unsigned)(info.st_mode & 07777), path);
    errno = EPERM;
    return -1;
}

/* Going. */

/* Be in the folder fd. */
static void
reach(struct way *way, int fd)
{
    if (way->at >= 0)
        close(way->at);
    way->at = fd;
}

/* Make the names in the folder at, or in the one above, durable; who may not read a folder has not made anything in it. */
static int
sync_names(int at, const char *name)
{
    const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno == EACCES ? 0 : -1;
    const int rc = fsync(fd) == 0 || errno == EINVAL ? 0 : -1; /* this file system has nothing to sync of a folder */
    const int error = errno;
    close(fd);
    errno = error;
    return rc;
}

/* Make the folder name. The one that is reached may have been made by who was killed before its own name was durable. */
static int
make_level(struct way *way, const char *name)
{
    if (!way->made && sync_names(way->at, "..") != 0)
        return -1;
    if (mkdirat(way->at, name, 0700) != 0 && errno != EEXIST) /* whoever was faster: it is looked at */
        return -1;
    way->made = true;
    return sync_names(way->at, ".");
}

/* A folder, or what else has the name. O_DIRECTORY: what is mounted when it is asked for, is. */
static int
open_level(int at, const char *name)
{
    const int fd = openat(at, name, GO_FLAGS | O_DIRECTORY);

    return fd < 0 && (errno == ENOTDIR || errno == ELOOP) ? openat(at, name, GO_FLAGS) : fd;
}

/* Go on from / if the link is a whole path. */
static int
start_over(struct way *way)
{
    const int root = open("/", GO_FLAGS | O_DIRECTORY);

    if (root < 0)
        return -1;
    reach(way, root);
    buffer_clear(&way->path);
    buffer_add_text(&way->path, "/");
    return 0;
}

/* What is still to be gone is len bytes of a link, and then rest, which is part of what was. */
static void
set_rest(struct way *way, const char *link, size_t len, const char *rest)
{
    struct buffer next = {NULL, 0, 0};

    if (way->own > strlen(rest))
        way->own = strlen(rest);
    buffer_add(&next, link, len);
    buffer_add_text(&next, rest);
    buffer_free(&way->rest);
    way->rest = next;
}

/* Go where the link says, and then rest; path is the link's own. */
static int
follow(struct way *way, int link, const char *rest, const char *path)
{
    char target[PATH_MAX];
    const ssize_t len = readlinkat(link, "", target, sizeof target);

    if (len >= (ssize_t)sizeof target)
        errno = ENAMETOOLONG;
    if (len < 0 || len >= (ssize_t)sizeof target)
        return fail(way, path);
    if (++way->links > LINKS_MAX) {
        errno = ELOOP;
        return fail(way, path);
    }
    set_rest(way, target, (size_t)len, rest);
    return len > 0 && target[0] == '/' && start_over(way) != 0 ? fail(way, path) : 0;
}

/* Be in the folder that was opened, or go where the link says; fd is taken over. */
static int
take(struct way *way, int fd, const char *rest, const char *path)
{
    struct stat info = {.st_mode = 0}; /* of what is opened so it can't fail */
    int rc = -1;

    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        reach(way, fd);
        buffer_clear(&way->path);
        buffer_add_text(&way->path, path);
        set_rest(way, "", 0, rest);
        return 0;
    }
    if (!S_ISLNK(info.st_mode)) {
        errno = ENOTDIR;
        fail(way, path);
    } else if (!file_is_ours(&info)) {
        refuse_owner(way, &info, path, "is a link of");
    } else {
        rc = follow(way, fd, rest, path);
    }
    const int error = errno;
    close(fd);
    errno = error;
    return rc;
}

/* The level name is missing, or can't be opened: errno says. Its descriptor if it could be made; linked: it is a link's. */
static int
mend_level(struct way *way, const char *name, const char *path, bool linked)
{
    int fd = -1;

    if (errno == ENOENT && linked) {
        buffer_printf(way->fault, "%s is missing, where a link on the way to %s points: make it, or mend the link", path,
                      way->dir);
        errno = ENOENT;
        return -1;
    }
    if (errno == ENOENT && !way->make)
        return -1;
    if (errno == ENOENT && make_level(way, name) == 0)
        fd = open_level(way->at, name);
    return fd < 0 ? fail(way, path) : fd;
}

/* One level on. 1, 0 the way is at its end, −1. */
static int
step(struct way *way)
{
    struct buffer name = {NULL, 0, 0};
    struct buffer path = {NULL, 0, 0};
    const char *rest = buffer_text(&way->rest);

    rest += strspn(rest, "/");
    const size_t len = strcspn(rest, "/");

    if (len == 0)
        return 0;
    if (check_reached(way) != 0)
        return -1;
    buffer_add(&name, rest, len);
    buffer_add_span(&path, buffer_span(&way->path));
    buffer_printf(&path, "%s%s", path.data[path.len - 1] == '/' ? "" : "/", buffer_text(&name));
    int fd = open_level(way->at, buffer_text(&name));
    if (fd < 0)
        fd = mend_level(way, name.data, buffer_text(&path), strlen(rest) > way->own);
    const int rc = fd < 0 || take(way, fd, rest + len, buffer_text(&path)) != 0 ? -1 : 1;
    const int error = errno;
    buffer_free(&name);
    buffer_free(&path);
    errno = error;
    return rc;
}

/* Where the way begins: at /, or, where nobody knows how the current folder is called, there. */
static int
begin(struct way *way)
{
    char here[PATH_MAX];

    if (way->dir[0] == '\0' || strlen(way->dir) >= PATH_MAX) {
        errno = way->dir[0] == '\0' ? ENOENT : ENAMETOOLONG;
        return fail(way, way->dir);
    }
    const bool known = way->dir[0] == '/' || (getcwd(here, sizeof here) != NULL && here[0] == '/');
    way->at = open(known ? "/" : ".", GO_FLAGS | O_DIRECTORY);
    if (way->at < 0)
        return fail(way, way->dir);
    buffer_add_text(&way->path, known ? "/" : ".");
    if (known && way->dir[0] != '/')
        buffer_printf(&way->rest, "%s/", here);
    buffer_add_text(&way->rest, way->dir);
    way->own = way->rest.len;
    return 0;
}

static int
go(struct way *way)
{
    int rc = begin(way);

    if (rc == 0)
        while ((rc = step(way)) == 1)
            ;
    return rc;
}

static void
end(struct way *way)
{
    const int error = errno;

    reach(way, -1);
    buffer_free(&way->path);
    buffer_free(&way->rest);
    errno = error;
}

int
way_open(const char *dir, bool make, struct buffer *fault)
{
    struct way way = {.dir = dir, .make = make, .at = -1, .fault = fault};
    int fd = -1;

    if (go(&way) == 0) {
        if (!make || way.made || sync_names(way.at, "..") == 0)
            fd = openat(way.at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            fail(&way, dir);
    }
    end(&way);
    return fd;
}

int
way_is_safe(const char *dir, struct buffer *fault)
{
    struct way way = {.dir = dir, .at = -1, .fault = fault};
    const size_t before = fault->len;
    int rc = go(&way) == 0 ? check_reached(&way) : -1;

    if (rc != 0 && fault->len == before)
        fail(&way, dir);
    end(&way);
    return rc;
}
