/*
 * lake: writes what it is given to files, each record exactly once:
 *
 *   DIR/<zone>/<table>/date=YYYY-MM-DD/part-NNNNNNNN.ndjson     (date: of writing, UTC)
 *
 * That is the layout Athena, Trino, Spark and DuckDB read as it is. How long each file is stands in the store, in the
 * transaction that holds the link positions, and with it the lines that are not synced in the file yet. They are written
 * there after the commit, by the next process if this one dies. So no reader sees what is not committed, nothing is ever cut
 * or removed, and a file that is not what the store says is refused: somebody else's files and another state's stay.
 *
 * It has no need of where a record stands (struct arrival): what is its own of a record is committed with the position of
 * that, in one store, so none comes again that is written. A sink whose output is not tied to a store in this way would.
 *
 * It is an operator like the others, only that its output is files. A table's records carry one field more, "row".
 */
#ifndef LAKE_LAKE_H
#define LAKE_LAKE_H

#include "operator/operator.h"

struct lake_parameters {
    char dir[4096];       /* the lake's folder */
    int64_t part_bytes;   /* a part that has reached this is closed */
    unsigned table_count; /* inputs, in the order of the stream's */
    struct {
        const char *path; /* "trusted/customer" */
        bool rows;        /* it is a table: records get their row */
    } tables[OPERATOR_INPUTS_MAX];
};

extern const struct operator lake_operator;

/* What a store says of the files of a table: they are whole before the newest part, and in that from 0 to `synced`; from
 * there to `bytes` they may have been written. */
struct lake_extent {
    char date[11];   /* of the newest part; "": there is none */
    uint32_t number;
    uint64_t synced;
    uint64_t bytes;
};

/* Read it for the table at path, in a snapshot of the lake's store. 0 or −1. */
int lake_extent(struct store *store, const char *path, struct lake_extent *extent);

/* Call visit for each part of the table at path of the lake in dir that is not newer than extent says, in no order: with its
 * path below dir, and how many bytes of it are to be there at least and at most. It ends by −1. 0; −1 with a line in the log
 * if a folder can't be read. */
int lake_visit(const char *dir, const char *path, const struct lake_extent *extent,
               int (*visit)(void *context, const char *part, uint64_t least, uint64_t most), void *context);

#endif
