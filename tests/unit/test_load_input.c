/* input: what strangers have in their files, told apart into records that each count once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "load/input.h"
#include "scratch_dir.h"

static char dir[SCRATCH_DIR_SIZE];
static struct names *names;
static struct buffer records; /* what came out, a line each */
static struct buffer lines;   /* in which line each began: "1 2 " */
static struct buffer problems;
static struct buffer said; /* on standard error */

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_dir_remove(dir);
    buffer_free(&records);
    buffer_free(&lines);
    buffer_free(&problems);
    buffer_free(&said);
    return 0;
}

static const char *
path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void
put(const char *name, const void *bytes, size_t len)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, bytes, len, 0), 0);
    close(fd);
}

static void
take_all(const char *path, enum record_kind kind, enum input_result *result)
{
    struct input_record record;
    struct input *input = input_open(path, kind, false, names);

    assert_non_null(input);
    while ((*result = input_next(input, &record)) == INPUT_RECORD) {
        assert_int_equal(record.text.at[0], '{');
        assert_null(memchr(record.text.at, '\n', record.text.len));
        buffer_add_span(&records, record.text);
        buffer_add_byte(&records, '\n');
        buffer_printf(&lines, "%u ", (unsigned)record.line);
        if (record.problem != NULL)
            buffer_printf(&problems, "%u: %s\n", (unsigned)record.line, record.problem);
    }
    names_say(names, "FILE");
    input_free(input);
}

/* Read the file called name, of len bytes, or len of −1: that exists already. How it ended. */
static enum input_result
take(const char *name, enum record_kind kind, const char *bytes, size_t len)
{
    enum input_result result;
    char log[256];

    if (bytes != NULL)
        put(name, bytes, len);
    buffer_clear(&records);
    buffer_clear(&lines);
    buffer_clear(&problems);
    buffer_clear(&said);
    snprintf(log, sizeof log, "%s/said", dir);
    int kept = dup(STDERR_FILENO);
    int fd = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    names = names_new(kind);
    take_all(path_of(name), kind, &result);
    names_free(names);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(fd);
    assert_int_equal(file_read(log, &said), 0);
    return result;
}

static enum input_result
take_text(const char *name, enum record_kind kind, const char *text)
{
    return take(name, kind, text, strlen(text));
}

static void
expect_records(const char *want)
{
    assert_string_equal(buffer_text(&records), want);
}

static void
expect_said(const char *want)
{
    if (strstr(buffer_text(&said), want) == NULL)
        fail_msg("'%s' is not in '%s'", want, said.data);
}

#define READINGS                                                                                                       \
    "{\"user\":\"a@example.org\",\"timestamp\":1,\"x\":1,\"y\":2,\"z\":3}\n"                                            \
    "{\"user\":\"b@example.org\",\"timestamp\":2,\"x\":1,\"y\":2,\"z\":3}\n"

/*
 * Packings.
 */

static void
pack_gzip(struct buffer *out, const char *text)
{
    z_stream gzip = {0};

    assert_int_equal(deflateInit2(&gzip, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    gzip.next_in = (unsigned char *)(uintptr_t)text;
    gzip.avail_in = (unsigned)strlen(text);
    gzip.next_out = (unsigned char *)buffer_reserve(out, 4096);
    gzip.avail_out = 4096;
    assert_int_equal(deflate(&gzip, Z_FINISH), Z_STREAM_END);
    out->len += 4096 - gzip.avail_out;
    deflateEnd(&gzip);
}

static void
pack_zstd(struct buffer *out, const char *text)
{
    char *at = buffer_reserve(out, 4096);
    size_t len = ZSTD_compress(at, 4096, text, strlen(text), 3);

    assert_false(ZSTD_isError(len));
    out->len += len;
}

static enum input_result
take_buffer(struct buffer *bytes)
{
    enum input_result result = take("packed", RECORD_ACCELEROMETER, bytes->data, bytes->len);

    buffer_clear(bytes);
    return result;
}

static void
gzip_may_have_members_and_zeros_between_and_behind_them(void **state)
{
    static const char zeros[1000];
    struct buffer bytes = {0};

    (void)state;
    for (unsigned variant = 0; variant < 4; variant++) {
        pack_gzip(&bytes, READINGS);
        if (variant >= 2)
            buffer_add(&bytes, zeros, sizeof zeros);
        if (variant % 2 == 1)
            pack_gzip(&bytes, READINGS);
        if (variant >= 2)
            buffer_add(&bytes, zeros, 7);
        assert_int_equal(take_buffer(&bytes), INPUT_END);
        expect_records(variant % 2 == 1 ? READINGS READINGS : READINGS);
    }
    pack_gzip(&bytes, "");
    assert_int_equal(take_buffer(&bytes), INPUT_END);
    expect_records("");
    buffer_free(&bytes);
}

static void
zstd_may_have_frames_and_such_as_are_skipped(void **state)
{
    struct buffer bytes = {0};

    (void)state;
    for (unsigned variant = 0; variant < 16; variant++) {
        buffer_add_byte(&bytes, (char)(0x50 + variant));
        buffer_add(&bytes, "\x2a\x4d\x18\4\0\0\0abcd", 11);
        pack_zstd(&bytes, READINGS);
        buffer_add(&bytes, "\x50\x2a\x4d\x18\0\0\0\0", 8);
        pack_zstd(&bytes, READINGS);
        assert_int_equal(take_buffer(&bytes), INPUT_END);
        expect_records(READINGS READINGS);
    }
    buffer_free(&bytes);
}

static void
what_is_cut_short_is_a_fault_wherever_the_cut_is(void **state)
{
    struct buffer whole = {0};
    struct buffer part = {0};

    (void)state;
    for (unsigned variant = 0; variant < 2; variant++) {
        buffer_clear(&whole);
        variant == 0 ? pack_gzip(&whole, READINGS) : pack_zstd(&whole, READINGS);
        for (size_t len = 4; len < whole.len; len++) {
            buffer_add(&part, whole.data, len);
            assert_int_equal(take_buffer(&part), INPUT_FAULT);
            expect_said("the file ends there");
        }
    }
    buffer_free(&whole);
    buffer_free(&part);
}

static void
what_follows_the_packed_data_is_said(void **state)
{
    struct buffer bytes = {0};

    (void)state;
    pack_gzip(&bytes, READINGS);
    buffer_add_text(&bytes, "more");
    assert_int_equal(take_buffer(&bytes), INPUT_FAULT);
    expect_said("gzip data can't be unpacked");
    expect_records(READINGS);
    pack_zstd(&bytes, READINGS);
    buffer_add_text(&bytes, "more");
    assert_int_equal(take_buffer(&bytes), INPUT_FAULT);
    expect_said("zstd data can't be unpacked");
    buffer_free(&bytes);
}

/*
 * What is no text.
 */

static void
expect_refused(const void *bytes, size_t len, const char *want)
{
    assert_int_equal(take("file", RECORD_ACCELEROMETER, bytes, len), INPUT_REFUSED);
    expect_records("");
    expect_said(want);
}

static void
what_is_no_text_is_refused_by_name(void **state)
{
    static const char tar[512] = {[0] = 'a', [257] = 'u', 's', 't', 'a', 'r'};

    (void)state;
    expect_refused("\xfd" "7zXZ\0\0\1", 8, "xz -dc");
    expect_refused("BZh91AY&SY", 10, "bzip2 -dc");
    expect_refused("PK\3\4\24\0", 6, "zip file");
    expect_refused("7z\xbc\xaf\x27\x1c\0", 7, "7z file");
    expect_refused("\x04\x22\x4d\x18xyz", 7, "lz4 -dc");
    expect_refused("PAR1\x15\x04", 6, "Parquet");
    expect_refused("Obj\x01\x04", 5, "Avro");
    expect_refused("SQLite format 3\0", 16, "SQLite");
    expect_refused(tar, sizeof tar, "tar file");
    expect_refused("\xff\xfe{\0\"\0", 6, "UTF-16");
    expect_refused("\xfe\xff\0{\0\"", 6, "UTF-16");
    expect_refused("{\0\"\0u\0s\0e\0r\0", 12, "iconv -f UTF-16LE");
    expect_refused("\0{\0\"\0u\0s\0e\0r", 12, "iconv -f UTF-16BE");
    expect_refused("\xff\xfe\0\0{\0\0\0", 8, "UTF-32");
    expect_refused("\x80\x04\x95\1\2\3\4\5\6", 9, "binary data");
    expect_refused("abc\0def", 7, "binary data");
}

static void
nor_is_it_taken_when_it_is_packed(void **state)
{
    struct buffer bytes = {0};

    (void)state;
    pack_gzip(&bytes, "PAR1\x15\x04");
    assert_int_equal(take_buffer(&bytes), INPUT_REFUSED);
    expect_said("a Parquet file, packed with gzip");
    pack_zstd(&bytes, "\x1f\x8b\x08zz");
    assert_int_equal(take_buffer(&bytes), INPUT_REFUSED);
    expect_said("a gzip file, packed with zstd");
    buffer_free(&bytes);
}

static void
a_broken_record_does_not_make_text_binary(void **state)
{
    (void)state;
    assert_int_equal(take_text("file", RECORD_ACCELEROMETER, "{\"user\":\"\x01\"}\n" READINGS), INPUT_END);
    expect_records("{\"user\":\"\x01\"}\n" READINGS);
}

/*
 * JSON.
 */

static void
json_in_all_its_shapes(void **state)
{
    (void)state;
    assert_int_equal(take_text("a", RECORD_ACCELEROMETER, "\xef\xbb\xbf" READINGS), INPUT_END);
    expect_records(READINGS);
    assert_string_equal(buffer_text(&lines), "1 2 ");
    take_text("a", RECORD_ACCELEROMETER, "\n\n{\"x\":\n1,\n\"y\":2}{\"x\":2}\n\n [{\"x\":3},\n {\"x\":4}]");
    expect_records("{\"x\": 1, \"y\":2}\n{\"x\":2}\n{\"x\":3}\n{\"x\":4}\n");
    assert_string_equal(buffer_text(&lines), "3 5 7 8 ");
    take_text("a", RECORD_ACCELEROMETER, "\x1e{\"x\":1}\n\x1e{\"x\":2}\n"); /* RFC 7464 */
    expect_records("{\"x\":1}\n{\"x\":2}\n");
    take_text("a", RECORD_ACCELEROMETER, "");
    expect_records("");
    take_text("a", RECORD_ACCELEROMETER, " \r\n\n");
    expect_records("");
}

/* How many records of these the process counts, and how many it can't take. */
static unsigned
count_as_a_process_does(struct span payload, unsigned *refused)
{
    static const struct record_limits limits = {
        .json = {.depth_max = 16, .string_bytes_max = 1024}, .payload_bytes_max = 1 << 20, .ahead_ms = 0};
    struct record_decoder *decoder = record_decoder_new(RECORD_ACCELEROMETER, &limits);
    struct record_cursor cursor = record_cursor(payload);
    struct record record;
    struct fault fault;
    unsigned count = 0;

    *refused = 0;
    while (record_next(decoder, &cursor, RECORD_FROM_LANDING, INT64_C(2000000000000), &record, &fault) == 1) {
        count++;
        *refused += fault.reason != REASON_NONE;
    }
    record_decoder_free(decoder);
    return count;
}

/* What each hands on is one record to the process, whatever it is and stands beside: so a fault has its line. */
static void
bug_250_a_line_handed_on_is_a_record_to_the_process(void **state)
{
    static const char *const pieces[] = {
        "no json at all", "{\"user\":\"a@example.org\",\"timestamp\":1600000000000,\"x\":1,\"y\":2,\"z\":3}", "{", "}",
        "[", "]", "{\"a\":[", "{\"a\":{\"b\":1}", "\"text with { and }\"", "{\"a\":\"not ended", "{\"a\":\"b\\", "1,2,3",
        "}}}}", "{\"a\":1}}", "a {\"x\":1} b", "{:}", "{\"a\":1:2}", "\xff\xfe\xfd", "{\"\\u0041\":1}", "null", "{]",
        "[[{\"x\":1}]]", "\\", "\"", "{\"\":1}",
    };
    const unsigned count = sizeof pieces / sizeof pieces[0];
    struct buffer text = {0};
    uint64_t random = 42;
    unsigned refused;

    (void)state;
    for (unsigned round = 0; round < 1500; round++) {
        buffer_clear(&text);
        buffer_add_text(&text, "{\"x\":1}\n");
        for (unsigned i = 0; i < 12; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            buffer_add_text(&text, pieces[(random >> 33) % count]);
            buffer_add_text(&text, (random >> 60) == 0 ? "" : (random >> 60) == 1 ? ",\n" : "\n");
        }
        enum input_result result = take_text("a", RECORD_ACCELEROMETER, buffer_text(&text));
        assert_true(result == INPUT_END || result == INPUT_REFUSED); /* an array is not closed: bug 292 */
        unsigned handed_on = 0;
        for (size_t i = 0; i < records.len; i++)
            handed_on += records.data[i] == '\n';
        if (handed_on > 0 && count_as_a_process_does(buffer_span(&records), &refused) != handed_on)
            fail_msg("in '%s', as '%s'", buffer_text(&text), buffer_text(&records));
    }
    buffer_free(&text);
}

static void
what_is_no_object_is_refused_by_the_process_under_its_line(void **state)
{
    unsigned refused;

    (void)state;
    take_text("a", RECORD_ACCELEROMETER, "{\"x\":1}\nnot \"json\" {\nnor this\n");
    expect_records("{\"x\":1}\n{\"not \\\"json\\\" {\"}\n{\"nor this\"}\n");
    assert_string_equal(buffer_text(&lines), "1 2 3 ");
    assert_int_equal(count_as_a_process_does(buffer_span(&records), &refused), 3);
    assert_int_equal(refused, 3);
}

static void
a_record_has_a_limit_and_the_line_is_said(void **state)
{
    struct buffer text = {0};

    (void)state;
    buffer_add_text(&text, "{\"x\":1}\n{\"x\":\"");
    memset(buffer_reserve(&text, 2 << 20), 'x', 2 << 20);
    text.len += 2 << 20;
    assert_int_equal(take("a", RECORD_ACCELEROMETER, text.data, text.len), INPUT_REFUSED);
    expect_records("{\"x\":1}\n");
    expect_said("a:2: a record is larger than 1 MiB");
    buffer_free(&text);
}

/*
 * Names.
 */

#define COLUMNS "customerName,email,phone,birthDay,serialNumber,registrationDate,lastUpdateDate"
#define CELLS "P,a@example.org,1,1980-01-01,t1,1600000000000,1600000001000"
#define CUSTOMER                                                                                                       \
    "{\"customerName\":\"P\",\"email\":\"a@example.org\",\"phone\":\"1\",\"birthDay\":\"1980-01-01\","                    \
    "\"serialNumber\":\"t1\",\"registrationDate\":1600000000000,\"lastUpdateDate\":1600000001000"

static void
names_in_another_case_are_the_fields(void **state)
{
    (void)state;
    take_text("a", RECORD_CUSTOMER, "{\"customername\":\"P\",\"e_mail\":\"a:b\",\"LAST UPDATE-DATE\":1,\"email\":2}\n");
    expect_records("{\"customerName\":\"P\",\"email\":\"a:b\",\"lastUpdateDate\":1,\"email\":2}\n");
    expect_said("customername as customerName");
    take_text("a.csv", RECORD_ACCELEROMETER, "USER,TimeStamp,X,y,Z\na@example.org,1,1,2,3\n");
    expect_records("{\"user\":\"a@example.org\",\"timestamp\":1,\"x\":1,\"y\":2,\"z\":3}\n");
    take_text("a", RECORD_ACCELEROMETER, "{\"user\":\"a\",\"timeStamp\":1}\n");
    expect_records("{\"user\":\"a\",\"timeStamp\":1}\n");
    assert_int_equal(said.len, 0);
}

static void
unknown_names_are_said_once_unless_they_are_none(void **state)
{
    (void)state;
    take_text("a", RECORD_ACCELEROMETER,
              "{\"x\":1,\"device\":2}\n{\"device\":2,\"x\":1}\n{\"x\":1,\"person@example.org\":2}\n");
    expect_said("not loaded: device, a name that is none");
    assert_null(strstr(buffer_text(&said), "person"));
    assert_int_equal(take_text("a.csv", RECORD_CUSTOMER, COLUMNS ",shoe size\n" CELLS ",44\n"), INPUT_END);
    expect_records(CUSTOMER "}\n");
    expect_said("not loaded: shoe size");
}

static void
bug_251_a_slip_in_an_optional_name_is_not_no_consent(void **state)
{
    static const char *const slips[] = {"shareWithResearchAsOfDat", "shareWithReserchAsOfDate", "share_with_research_date",
                                        "sharedWithResearchAsOfDate", "shareWithResearchAsOf"};
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        snprintf(text, sizeof text, COLUMNS ",%s\n" CELLS ",1600000001000\n", slips[i]);
        assert_int_equal(take_text("a.csv", RECORD_CUSTOMER, text), INPUT_REFUSED);
        expect_records("");
        expect_said("did you mean shareWithResearchAsOfDate?");
        snprintf(text, sizeof text, CUSTOMER "}\n" CUSTOMER ",\"%s\":1600000001000}\n" CUSTOMER "}\n", slips[i]);
        assert_int_equal(take_text("a", RECORD_CUSTOMER, text), INPUT_END);
        assert_string_equal(buffer_text(&lines), "1 2 3 ");
        assert_non_null(strstr(buffer_text(&problems), "did you mean shareWithResearchAsOfDate?"));
        assert_null(strstr(buffer_text(&records), "1600000001000}\n" CUSTOMER ",\"s"));
    }
    /* Beside the field itself it is one name more. */
    assert_int_equal(
        take_text("a", RECORD_CUSTOMER, CUSTOMER ",\"shareWithResearchAsOfDate\":1,\"shareWithResearchAsOfDat\":2}\n"),
        INPUT_END);
    assert_int_equal(problems.len, 0);
    assert_int_equal(take_text("a.csv", RECORD_CUSTOMER, COLUMNS ",shareWithPublicAsOfDate\n" CELLS ",5\n"), INPUT_END);
    expect_records(CUSTOMER ",\"shareWithPublicAsOfDate\":5}\n");
}

/*
 * CSV.
 */

static void
any_separator_is_told_by_the_first_line(void **state)
{
    static const char separators[] = {',', ';', '\t', '|'};
    char text[1024];

    (void)state;
    for (unsigned i = 0; i < 4 * 3; i++) {
        const unsigned way = i / 4; /* by the name, by the first line, by the first line after sep= */
        const char separator = separators[i % 4];
        snprintf(text, sizeof text, "%s%s\n%s\n", way == 2 ? "\xef\xbb\xbfsep=,\r\n" : "", COLUMNS, CELLS);
        for (char *at = text; *at != '\0'; at++)
            *at = *at == ',' ? separator : *at;
        assert_int_equal(take_text(way == 0 ? "a.csv" : "a", RECORD_CUSTOMER, text), INPUT_END);
        expect_records(CUSTOMER "}\n");
        assert_string_equal(buffer_text(&lines), way == 2 ? "3 " : "2 ");
    }
}

static void
cells_as_spreadsheets_write_them(void **state)
{
    (void)state;
    take_text("a.csv", RECORD_CUSTOMER,
              "\xef\xbb\xbf" COLUMNS ",shareWithResearchAsOfDate\r\n"
              "\"P \"\"x\"\"\nline two, more\",a@example.org,1,1980-01-01,t1,1600000000000,1600000001000,NULL\r\n\r\n" CELLS
              ",\\N\r\n" CELLS ",\r\nNULL,a@example.org,1,1980-01-01,t1,1600000000000,1600000001000,null\r\n"
              "\\N,,1,1980-01-01,t1,1.6E12,x,7");
    expect_records("{\"customerName\":\"P \\\"x\\\"\\nline two, more\",\"email\":\"a@example.org\",\"phone\":\"1\","
                   "\"birthDay\":\"1980-01-01\",\"serialNumber\":\"t1\",\"registrationDate\":1600000000000,"
                   "\"lastUpdateDate\":1600000001000}\n" CUSTOMER "}\n" CUSTOMER "}\n"
                   "{\"customerName\":\"NULL\",\"email\":\"a@example.org\",\"phone\":\"1\",\"birthDay\":\"1980-01-01\","
                   "\"serialNumber\":\"t1\",\"registrationDate\":1600000000000,\"lastUpdateDate\":1600000001000}\n"
                   "{\"phone\":\"1\",\"birthDay\":\"1980-01-01\",\"serialNumber\":\"t1\",\"registrationDate\":1.6E12,"
                   "\"lastUpdateDate\":\"x\",\"shareWithResearchAsOfDate\":7}\n");
    assert_string_equal(buffer_text(&lines), "2 5 6 7 8 ");
}

static void
flags_as_spreadsheets_write_them(void **state)
{
    (void)state;
    take_text("a.csv", RECORD_CUSTOMER,
              COLUMNS ",withdraw_all\n" CELLS ",TRUE\n" CELLS ",false\n" CELLS ",\n" CELLS ",NULL\n" CELLS ",yes\n" CELLS
                      ",1\n");
    expect_records(CUSTOMER ",\"withdrawAll\":true}\n" CUSTOMER ",\"withdrawAll\":false}\n" CUSTOMER "}\n" CUSTOMER "}\n"
                   CUSTOMER ",\"withdrawAll\":\"yes\"}\n" CUSTOMER ",\"withdrawAll\":1}\n");
}

/* Without the field it would withdraw one row of several. */
static void
a_slip_in_the_name_of_a_flag_is_refused(void **state)
{
    (void)state;
    assert_int_equal(take_text("a.csv", RECORD_CUSTOMER, COLUMNS ",withdrawAl\n" CELLS ",true\n"), INPUT_REFUSED);
    expect_said("did you mean withdrawAll?");
}

static void
a_row_of_another_number_of_cells_is_no_record(void **state)
{
    unsigned refused;

    (void)state;
    take_text("a.csv", RECORD_ACCELEROMETER,
              "user,timestamp,x,y,z\na@example.org,1,1,2\na@example.org,1,1,2,3\na@example.org,1,1,2,3,4\n,,,,\n");
    assert_string_equal(buffer_text(&lines), "2 3 4 5 ");
    assert_string_equal(buffer_text(&problems), "2: the row has 4 cells, and the first line 5\n"
                                                "4: the row has 6 cells, and the first line 5\n");
    assert_int_equal(count_as_a_process_does(buffer_span(&records), &refused), 4);
    assert_int_equal(refused, 3);
}

static void
columns_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    assert_int_equal(take_text("a.csv", RECORD_ACCELEROMETER, "user,timestamp,x,y\na,1,1,2\n"), INPUT_REFUSED);
    expect_said("no column is called z");
    assert_int_equal(take_text("a.csv", RECORD_ACCELEROMETER, "user,timestamp,x,y,z,X\na,1,1,2,3,4\n"), INPUT_REFUSED);
    expect_said("two columns are called x");
    assert_int_equal(take_text("a.csv", RECORD_ACCELEROMETER, READINGS), INPUT_REFUSED);
    assert_int_equal(take_text("a.csv", RECORD_ACCELEROMETER, ""), INPUT_END);
    assert_int_equal(take_text("a.csv", RECORD_ACCELEROMETER, "user,timestamp,x,y,z"), INPUT_END);
    expect_records("");
}

static void
a_quote_that_is_not_closed_is_said_and_what_stands_before_it_is_taken(void **state)
{
    (void)state;
    assert_int_equal(take_text("a.csv", RECORD_ACCELEROMETER, "user,timestamp,x,y,z\na,1,1,2,3\n\"b,1,1,2,3\nc,1,1,2,3\n"),
                     INPUT_REFUSED);
    expect_records("{\"user\":\"a\",\"timestamp\":1,\"x\":1,\"y\":2,\"z\":3}\n");
    expect_said("a.csv:3: a quote that begins here is not closed");
}

/* What was cut off where a record ends looks whole otherwise: who knows what is missing. */
static void
bug_292_an_array_that_is_not_closed_is_said_and_what_stands_in_it_is_taken(void **state)
{
    static const char *const cut[] = {"\n[{\"a\":1},\n{\"a\":2},\n", "\n[{\"a\":1},{\"a\":2}", "\n[[{\"a\":1},{\"a\":2}]\n"};

    (void)state;
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        assert_int_equal(take_text("a.json", RECORD_ACCELEROMETER, cut[i]), INPUT_REFUSED);
        expect_records("{\"a\":1}\n{\"a\":2}\n");
        expect_said("a.json:2: an array that begins here is not closed");
    }
    assert_int_equal(take_text("a.json", RECORD_ACCELEROMETER, "["), INPUT_REFUSED);
    assert_int_equal(take_text("a.json", RECORD_ACCELEROMETER, "[{\"a\":[1,\"[\"]}] [] {\"a\":\"[\"}"), INPUT_END);
    assert_int_equal(take_text("a.json", RECORD_ACCELEROMETER, "[]"), INPUT_END);
}

/* Rows and records go over the ends of what is read at once, packed and not. */
static void
large_files_come_whole(void **state)
{
    struct buffer text = {0};
    struct buffer want = {0};

    (void)state;
    buffer_add_text(&text, "user;timestamp;x;y;z\r\n");
    for (unsigned i = 0; i < 30000; i++) {
        buffer_printf(&text, "\"user %u\"\"\r\n\";%u;1;2;3\r\n", i, i);
        buffer_printf(&want, "{\"user\":\"user %u\\\"\\r\\n\",\"timestamp\":%u,\"x\":1,\"y\":2,\"z\":3}\n", i, i);
    }
    assert_int_equal(take("a", RECORD_ACCELEROMETER, text.data, text.len), INPUT_END);
    assert_true(span_equal(buffer_span(&records), buffer_span(&want)));
    assert_non_null(strstr(buffer_text(&lines), " 59998 60000 "));
    assert_int_equal(take("b", RECORD_ACCELEROMETER, want.data, want.len), INPUT_END);
    assert_true(span_equal(buffer_span(&records), buffer_span(&want)));
    buffer_free(&text);
    buffer_free(&want);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gzip_may_have_members_and_zeros_between_and_behind_them),
        TEST(zstd_may_have_frames_and_such_as_are_skipped),
        TEST(what_is_cut_short_is_a_fault_wherever_the_cut_is),
        TEST(what_follows_the_packed_data_is_said),
        TEST(what_is_no_text_is_refused_by_name),
        TEST(nor_is_it_taken_when_it_is_packed),
        TEST(a_broken_record_does_not_make_text_binary),
        TEST(json_in_all_its_shapes),
        TEST(bug_250_a_line_handed_on_is_a_record_to_the_process),
        TEST(what_is_no_object_is_refused_by_the_process_under_its_line),
        TEST(a_record_has_a_limit_and_the_line_is_said),
        TEST(names_in_another_case_are_the_fields),
        TEST(unknown_names_are_said_once_unless_they_are_none),
        TEST(bug_292_an_array_that_is_not_closed_is_said_and_what_stands_in_it_is_taken),
        TEST(bug_251_a_slip_in_an_optional_name_is_not_no_consent),
        TEST(any_separator_is_told_by_the_first_line),
        TEST(cells_as_spreadsheets_write_them),
        TEST(flags_as_spreadsheets_write_them),
        TEST(a_slip_in_the_name_of_a_flag_is_refused),
        TEST(a_row_of_another_number_of_cells_is_no_record),
        TEST(columns_that_do_not_fit_are_refused),
        TEST(a_quote_that_is_not_closed_is_said_and_what_stands_before_it_is_taken),
        TEST(large_files_come_whole),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
