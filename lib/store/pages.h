/*
 * pages: whether a file is a store that can be mapped. LMDB believes what stands in its file: where that was cut short or
 * written over it dies of a signal, at every start, without a line. So its pages are looked at before, by reads, which fail
 * where a map kills.
 *
 * The only module that knows how LMDB lays out its file (data version 1, native byte order and word size): see the top of
 * pages.c. What entries hold is compared with nothing, since LMDB keeps no checksums: that is for whoever reads them.
 */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include "base/buffer.h"

enum pages {
    PAGES_ABSENT,  /* there is no such file */
    PAGES_UNBORN,  /* half made: two pages as LMDB makes them, or zeros in place of one; nothing was ever committed */
    PAGES_SOUND,   /* it can be mapped */
    PAGES_DAMAGED  /* it can't, or is no store; or it can't be read */
};

/* Look at the file at path, which may be written meanwhile by the process that it belongs to. Appends what is wrong to
 * fault. Reads all pages that lead to others, and of each table so many of the rest as takes no time to speak of
 * (LEAVES_READ_MAX); all of them where the file is shorter than it may have to be. */
enum pages pages_look(const char *path, struct buffer *fault);

#endif
