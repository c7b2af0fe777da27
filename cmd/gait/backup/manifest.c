#include "backup/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/say.h"

#define NAME "manifest"
#define FIRST_LINE "gait backup 1\n"
#define KIND "gait backup " /* what all versions of it begin with */

struct manifest_file *
manifest_add(struct manifest *manifest, const char *path)
{
    if (manifest->count == manifest->capacity) {
        manifest->capacity = manifest->capacity * 2 + 64;
        manifest->files = realloc(manifest->files, manifest->capacity * sizeof *manifest->files);
    }
    char *copy = strdup(path);
    if (manifest->files == NULL || copy == NULL)
        log_fatal("out of memory");
    manifest->files[manifest->count] = (struct manifest_file){.path = copy};
    return &manifest->files[manifest->count++];
}

void
manifest_drop(struct manifest *manifest)
{
    free(manifest->files[--manifest->count].path);
}

static void
hash_of(struct span text, char hex[HASH_ID_HEX_SIZE])
{
    struct hash_sum *sum = hash_sum_begin();
    struct hash_id hash;

    hash_sum_add(sum, text);
    hash_sum_end(sum, &hash);
    hash_hex(&hash, hex);
}

static void
path_of(const char *dir, struct buffer *path)
{
    buffer_printf(path, "%s/" NAME, dir);
    buffer_text(path);
}

int
manifest_write(const struct manifest *manifest, const char *dir)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer text = {NULL, 0, 0};
    char hex[HASH_ID_HEX_SIZE];

    buffer_add_text(&text, FIRST_LINE);
    buffer_add_span(&text, buffer_span(&manifest->notes));
    for (unsigned i = 0; i < manifest->count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        hash_hex(&file->hash, hex);
        buffer_printf(&text, "file %s %" PRIu64 " %s\n", hex, file->bytes, file->path);
    }
    hash_of(buffer_span(&text), hex);
    buffer_printf(&text, "end %s\n", hex);
    path_of(dir, &path);
    const int rc = file_replace(buffer_text(&path), buffer_text(&text));
    if (rc != 0)
        say("%s: %s", buffer_text(&path), strerror(errno));
    buffer_free(&path);
    buffer_free(&text);
    return rc;
}

/* Whether path stays below its folder, in one of those that a backup has. */
static bool
is_ours(const char *path)
{
    if (strncmp(path, "state/", 6) != 0 && strncmp(path, "lake/", 5) != 0 && strncmp(path, "keys/", 5) != 0)
        return false;
    for (const char *level = path; level != NULL; level = strchr(level, '/')) {
        level += *level == '/';
        const size_t len = strcspn(level, "/");
        if (len == 0 || (len == 1 && level[0] == '.') || (len == 2 && level[0] == '.' && level[1] == '.'))
            return false;
    }
    return true;
}

/* "file HASH BYTES PATH", without the line's end. */
static int
read_file_line(struct manifest *manifest, char *line)
{
    struct hash_id hash;
    char *end;

    if (strlen(line) < 5 + HASH_ID_HEX_SIZE || hash_unhex(line + 5, &hash) != 0 || line[4 + HASH_ID_HEX_SIZE] != ' ')
        return -1;
    errno = 0;
    const uint64_t bytes = strtoull(line + 5 + HASH_ID_HEX_SIZE, &end, 10);
    if (errno != 0 || *end != ' ' || !is_ours(end + 1))
        return -1;
    struct manifest_file *file = manifest_add(manifest, end + 1);
    file->bytes = bytes;
    file->hash = hash;
    file->hashed = true;
    return 0;
}

/* text is whole: take it apart. */
static int
read_lines(struct manifest *manifest, char *text)
{
    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = '\0';
        if (strncmp(text, "file ", 5) == 0) {
            if (read_file_line(manifest, text) != 0)
                return -1;
            continue;
        }
        buffer_add_text(&manifest->notes, text);
        buffer_add_byte(&manifest->notes, '\n');
    }
    return 0;
}

/* Whether text is lines of what can be shown: who reads it may do so on a terminal. */
static bool
is_shown(struct span text)
{
    bool shown = true;

    for (size_t i = 0; i < text.len && shown; i++)
        shown = text.at[i] == '\n' || (text.at[i] >= ' ' && text.at[i] <= '~');
    return shown;
}

/* What is wrong with the text, or NULL; then its last line is cut off. */
static const char *
find_fault(struct buffer *text)
{
    const size_t end_bytes = strlen("end \n") + HASH_ID_HEX_SIZE - 1;
    char hex[HASH_ID_HEX_SIZE];

    buffer_text(text);
    if (text->len < strlen(KIND) || memcmp(text->data, KIND, strlen(KIND)) != 0 || strlen(text->data) != text->len)
        return "this is not the manifest of a backup";
    if (strncmp(text->data, FIRST_LINE, strlen(FIRST_LINE)) != 0)
        return "it was made by another version of gait, which reads it";
    if (text->len < strlen(FIRST_LINE) + end_bytes)
        return "it is not whole";
    char *last = text->data + text->len - end_bytes;
    hash_of(span_at(text->data, text->len - end_bytes), hex);
    if (text->data[text->len - 1] != '\n' || strncmp(last, "end ", 4) != 0 ||
        strncmp(last + 4, hex, HASH_ID_HEX_SIZE - 1) != 0)
        return "it is damaged, or not whole";
    if (!is_shown(buffer_span(text)))
        return "it has what no manifest has: somebody has made it";
    *last = '\0';
    return NULL;
}

int
manifest_read(struct manifest *manifest, const char *dir)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer text = {NULL, 0, 0};

    path_of(dir, &path);
    const char *fault = file_read(buffer_text(&path), &text) != 0 ? strerror(errno) : find_fault(&text);
    if (fault == NULL && read_lines(manifest, text.data + strlen(FIRST_LINE)) != 0)
        fault = "it names a file that can't be part of a backup";
    if (fault != NULL)
        say("%s: %s", buffer_text(&path), fault);
    buffer_free(&path);
    buffer_free(&text);
    return fault == NULL ? 0 : -1;
}

/* The line behind *at, without its end: 1, 0 there is none. */
static int
next_line(const struct manifest *manifest, size_t *at, struct span *line)
{
    if (*at >= manifest->notes.len)
        return 0;
    const char *begin = manifest->notes.data + *at;
    const char *end = memchr(begin, '\n', manifest->notes.len - *at);
    *line = span_at(begin, (size_t)(end - begin));
    *at += line->len + 1;
    return 1;
}

/* Whether line begins with word and ends or goes on behind a blank there; *rest is what follows. */
static bool
take_word(struct span line, const char *word, struct span *rest)
{
    const size_t len = strlen(word);

    if (line.len < len || memcmp(line.at, word, len) != 0 || (line.len > len && line.at[len] != ' '))
        return false;
    const size_t skip = line.len > len ? len + 1 : len;
    *rest = span_at(line.at + skip, line.len - skip);
    return true;
}

int
manifest_note(const struct manifest *manifest, const char *word, struct span *rest)
{
    struct span line;

    for (size_t at = 0; next_line(manifest, &at, &line) == 1;) {
        if (take_word(line, word, rest))
            return 1;
    }
    return 0;
}

bool
manifest_names(const struct manifest *manifest, const char *word, const char *name)
{
    struct span line;
    struct span rest;

    for (size_t at = 0; next_line(manifest, &at, &line) == 1;) {
        if (take_word(line, word, &rest) && take_word(rest, name, &rest))
            return true;
    }
    return false;
}

bool
manifest_has(const struct manifest *manifest, const char *path)
{
    const size_t len = strlen(path);
    const size_t compared = len > 0 && path[len - 1] == '/' ? len : len + 1;

    for (unsigned i = 0; i < manifest->count; i++) {
        if (strncmp(manifest->files[i].path, path, compared) == 0)
            return true;
    }
    return false;
}

void
manifest_free(struct manifest *manifest)
{
    for (unsigned i = 0; i < manifest->count; i++)
        free(manifest->files[i].path);
    free(manifest->files);
    buffer_free(&manifest->notes);
    *manifest = (struct manifest){.count = 0};
}
