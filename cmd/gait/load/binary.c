#include "load/binary.h"

#include <stddef.h>

#define LOOK_BYTES 4096  /* of the beginning */
#define CONTROLS_PART 32 /* text has fewer than one control character in so many: a record may be broken */

static const struct {
    size_t at;
    struct span magic;
    struct binary binary;
} kinds[] = {
#define MAGIC(bytes) {bytes, sizeof(bytes) - 1}
    {0, MAGIC("\xfd" "7zXZ\0"), {"an xz file", "xz -dc"}},
    {0, MAGIC("BZh"), {"a bzip2 file", "bzip2 -dc"}},
    {0, MAGIC("PK\3\4"), {"a zip file (or a spreadsheet)", "unzip -p"}},
    {0, MAGIC("PK\5\6"), {"an empty zip file", "unzip -p"}},
    {0, MAGIC("7z\xbc\xaf\x27\x1c"), {"a 7z file", "7z x -so"}},
    {0, MAGIC("\x04\x22\x4d\x18"), {"an lz4 file", "lz4 -dc"}},
    {0, MAGIC("\x02\x21\x4c\x18"), {"an lz4 file", "lz4 -dc"}},
    {0, MAGIC("\x1f\x9d"), {"a file of compress", "gzip -dc"}},
    {0, MAGIC("LZIP"), {"an lzip file", "lzip -dc"}},
    {0, MAGIC("\x5d\0\0"), {"an lzma file", "xz -dc"}},
    {0, MAGIC("\x89LZO\0"), {"an lzop file", "lzop -dc"}},
    {0, MAGIC("\xff\x06\0\0sNaPpY"), {"a snappy file", "snzip -dc"}},
    {0, MAGIC("Rar!\x1a\x07"), {"a rar file", "unrar p -inul"}},
    {257, MAGIC("ustar"), {"a tar file", "tar -xOf"}},
    {0, MAGIC("\x1f\x8b"), {"a gzip file", "gzip -dc"}},
    {0, MAGIC("\x28\xb5\x2f\xfd"), {"a zstd file", "zstd -dc"}},
    {0, MAGIC("PAR1"), {"a Parquet file", NULL}},
    {0, MAGIC("Obj\x01"), {"an Avro file", NULL}},
    {0, MAGIC("ORC"), {"an ORC file", NULL}},
    {0, MAGIC("ARROW1"), {"an Arrow file", NULL}},
    {0, MAGIC("SQLite format 3\0"), {"an SQLite database", NULL}},
    {0, MAGIC("\x89HDF\r\n"), {"an HDF5 file", NULL}},
    {0, MAGIC("%PDF-"), {"a PDF file", NULL}},
    {0, MAGIC("\xff\xfe\0\0"), {"text in UTF-32", "iconv -f UTF-32 -t UTF-8"}},
    {0, MAGIC("\0\0\xfe\xff"), {"text in UTF-32", "iconv -f UTF-32 -t UTF-8"}},
    {0, MAGIC("\xff\xfe"), {"text in UTF-16", "iconv -f UTF-16 -t UTF-8"}},
    {0, MAGIC("\xfe\xff"), {"text in UTF-16", "iconv -f UTF-16 -t UTF-8"}},
#undef MAGIC
};

/* Whether every other byte from at on is NUL and none of those between: ASCII in 16 bits a character, with no mark before
 * it. */
static bool
is_wide(struct span text, size_t at)
{
    if (text.len < 8)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if ((text.at[i] == '\0') != (i % 2 == at))
            return false;
    }
    return true;
}

static bool
is_control(unsigned char c)
{
    return (c < ' ' && strchr("\t\n\v\f\r\x1e", c) == NULL) || c == 0x7f;
}

/* Whether that can be no text with a broken record in it. */
static bool
is_binary(struct span text)
{
    size_t controls = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '\0')
            return true;
        controls += is_control((unsigned char)text.at[i]);
    }
    return controls > 0 && controls * CONTROLS_PART >= text.len;
}

bool
binary_find(struct span text, struct binary *binary)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct span magic = kinds[i].magic;
        if (text.len >= kinds[i].at + magic.len && memcmp(text.at + kinds[i].at, magic.at, magic.len) == 0) {
            *binary = kinds[i].binary;
            return true;
        }
    }
    if (text.len > LOOK_BYTES)
        text.len = LOOK_BYTES;
    if (is_wide(text, 1) || is_wide(text, 0)) {
        const char *iconv = is_wide(text, 1) ? "iconv -f UTF-16LE -t UTF-8" : "iconv -f UTF-16BE -t UTF-8";
        *binary = (struct binary){"text in UTF-16", iconv};
        return true;
    }
    *binary = (struct binary){"binary data", NULL};
    return is_binary(text);
}
