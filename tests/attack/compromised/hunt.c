/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searches this process's own memory for a secret. The order names it with every bit turned, so
 * that neither the order nor anything here is what it looks for. No file tells what is mapped:
 * write(2) does, page by page around the addresses that a program knows.
 */
#include "tests/attack/compromised/puppet.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE   4096
#define WINDOW 8     /* bytes of the secret that count */
#define GAP    16384 /* pages without memory that end a walk: 64 MB */

struct hunt {
    int probe;
    const unsigned char *turned;
    size_t len;
    unsigned char pairs[65536 / 8]; /* which two turned bytes begin a window */
    long pages, hits;
};

static bool readable(const struct hunt *h, uintptr_t page)
{
    if (write(h->probe, (const void *)page, PAGE) != PAGE)
        return false;
    lseek(h->probe, 0, SEEK_SET);
    return true;
}

static bool window_at(const struct hunt *h, const unsigned char *p)
{
    for (size_t w = 0; w + WINDOW <= h->len; w++) {
        size_t same = 0;
        while (same < WINDOW && (p[same] ^ h->turned[w + same]) == UCHAR_MAX)
            same++;
        if (same == WINDOW)
            return true;
    }
    return false;
}

static void search(struct hunt *h, uintptr_t page, size_t len)
{
    const unsigned char *p = (const unsigned char *)page;
    for (size_t i = 0; i + WINDOW <= len; i++) {
        unsigned pair = (unsigned)(p[i] ^ UCHAR_MAX) << 8 | (unsigned)(p[i + 1] ^ UCHAR_MAX);
        if (h->pairs[pair >> 3] >> (pair & 7) & 1 && window_at(h, p + i))
            h->hits++;
    }
}

/* All memory around an address, with gaps of less than GAP pages. */
static void walk(struct hunt *h, const void *from)
{
    uintptr_t start = (uintptr_t)from & ~(uintptr_t)(PAGE - 1), lowest = start, at = start;
    bool before = false;
    for (long gap = 0; gap < GAP && at > PAGE; gap++, at -= PAGE)
        if (readable(h, at)) {
            lowest = at;
            gap = -1;
        }
    at = lowest;
    for (long gap = 0; gap < GAP; gap++, at += PAGE) {
        bool here = readable(h, at);
        if (here) {
            h->pages++;
            search(h, before ? at - WINDOW + 1 : at, before ? PAGE + WINDOW - 1 : PAGE);
            gap = -1;
        }
        before = here;
    }
}

/* find SECRET: hits, after the number of pages that were looked at. */
long hunt_find(struct puppet_order *o)
{
    static struct hunt h;
    void *block = malloc(64);
    h = (struct hunt){.probe = memfd_create("probe", MFD_CLOEXEC)};
    h.turned = (const unsigned char *)o->words[1];
    h.len = puppet_unhex(o->words[1]);
    for (size_t w = 0; w + WINDOW <= h.len; w++) {
        unsigned pair = (unsigned)h.turned[w] << 8 | h.turned[w + 1];
        h.pairs[pair >> 3] |= (unsigned char)(1U << (pair & 7));
    }
    /* The program and its heap, the libraries and their mappings, the stack. */
    walk(&h, block);
    walk(&h, (const void *)(uintptr_t)&hunt_find);
    walk(&h, (const void *)(uintptr_t)&memfd_create);
    walk(&h, &block);
    close(h.probe);
    free(block);
    return h.pages < 1000 ? -ENODATA : h.hits;
}

/* plant SECRET: puts it into a block of the heap, so that a search can be seen to find it. */
long hunt_plant(struct puppet_order *o)
{
    size_t n = puppet_unhex(o->words[1]);
    unsigned char *block = malloc(n);
    for (size_t i = 0; block && i < n; i++)
        *(volatile unsigned char *)(block + i) = (unsigned char)(o->words[1][i] ^ UCHAR_MAX);
    return block ? (long)n : -ENOMEM;
}
