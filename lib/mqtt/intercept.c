#include "mqtt/intercept.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the loader knows of the library. */
struct library {
    uintptr_t inside; /* an address in it, by which it is found */
    uintptr_t base;
    uintptr_t relro_begin; /* what the loader has made read only */
    uintptr_t relro_end;
    const ElfW(Dyn) *dynamic; /* NULL: not found */
    const ElfW(Sym) *symbols;
    const char *names;
    const char *tables[2]; /* of relocations, which begin with ElfW(Rel) whatever they are */
    size_t table_bytes[2];
    size_t entry_bytes;
};

/* dl_iterate_phdr: is this the library? */
static int
look_at_object(struct dl_phdr_info *object, size_t size, void *context)
{
    struct library *library = context;

    const uintptr_t page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    struct library found = {.inside = library->inside, .base = object->dlpi_addr};
    bool lies_in = false;

    (void)size;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const uintptr_t begin = object->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD)
            lies_in = lies_in || (found.inside >= begin && found.inside - begin < segment->p_memsz);
        else if (segment->p_type == PT_DYNAMIC)
            found.dynamic = (const void *)begin;
        if (segment->p_type != PT_GNU_RELRO)
            continue;
        found.relro_begin = begin & page_mask;
        found.relro_end = (begin + segment->p_memsz) & page_mask;
    }
    if (lies_in && object->dlpi_name[0] != '\0') /* the program itself has no name here */
        *library = found;
    return lies_in;
}

/* The loader relocates the addresses in a dynamic section where they stand, but not on every machine. */
static const void *
address_of(const struct library *library, const ElfW(Dyn) *entry)
{
    const uintptr_t address = entry->d_un.d_ptr;
    return (const void *)(address < library->base ? library->base + address : address);
}

static void
read_dynamic(struct library *library)
{
    library->entry_bytes = sizeof(ElfW(Rela));
    for (const ElfW(Dyn) *entry = library->dynamic; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB:
            library->symbols = address_of(library, entry);
            break;
        case DT_STRTAB:
            library->names = address_of(library, entry);
            break;
        case DT_JMPREL:
            library->tables[0] = address_of(library, entry);
            break;
        case DT_PLTRELSZ:
            library->table_bytes[0] = entry->d_un.d_val;
            break;
        case DT_RELA:
        case DT_REL:
            library->tables[1] = address_of(library, entry);
            break;
        case DT_RELASZ:
        case DT_RELSZ:
            library->table_bytes[1] = entry->d_un.d_val;
            break;
        case DT_PLTREL:
            library->entry_bytes = entry->d_un.d_val == DT_REL ? sizeof(ElfW(Rel)) : sizeof(ElfW(Rela));
            break;
        default:
            break;
        }
    }
}

static bool
write_place(const struct library *library, uintptr_t place, uintptr_t value)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

    const uintptr_t page = place & ~((uintptr_t)page_bytes - 1);
    const bool read_only = place >= library->relro_begin && place < library->relro_end;

    if (place % sizeof value != 0 || (read_only && mprotect((void *)page, page_bytes, PROT_READ | PROT_WRITE) != 0))
        return false;
    memcpy((void *)place, &value, sizeof value);
    return !read_only || mprotect((void *)page, page_bytes, PROT_READ) == 0;
}

static const ElfW(Sym) *
symbol_of(const struct library *library, const ElfW(Rel) *relocation)
{
    return &library->symbols[sizeof relocation->r_info == 8 ? (uint64_t)relocation->r_info >> 32 : relocation->r_info >> 8];
}

static bool
intercept_call(const struct library *library, const struct intercept *call)
{
    bool found = false;

    for (unsigned i = 0; i < 2; i++) {
        for (size_t at = 0; at + library->entry_bytes <= library->table_bytes[i]; at += library->entry_bytes) {
            const ElfW(Rel) *relocation = (const void *)(library->tables[i] + at);
            const ElfW(Sym) *symbol = symbol_of(library, relocation);
            if (symbol == library->symbols) /* the first stands for none */
                continue;
            if (symbol->st_shndx != SHN_UNDEF || strcmp(library->names + symbol->st_name, call->name) != 0)
                continue;
            if (!write_place(library, library->base + relocation->r_offset, (uintptr_t)call->instead))
                return false;
            found = true;
        }
    }
    return found;
}

const char *
intercept_calls(const void *inside, const struct intercept *calls, unsigned count)
{
    struct library library = {.inside = (uintptr_t)inside};

    (void)dl_iterate_phdr(look_at_object, &library);
    if (library.dynamic != NULL)
        read_dynamic(&library);
    for (unsigned i = 0; i < count; i++) {
        if (library.symbols == NULL || library.names == NULL || !intercept_call(&library, &calls[i]))
            return calls[i].name;
    }
    return NULL;
}
