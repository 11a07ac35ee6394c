/* Reading a golden case and writing a dump in C99, without a library: the form that `--export bin` writes.

   A directory holds index.txt, one line a tensor, `name dtype ndim s0 s1 ... offset file`, and the files that it names:
   little-endian, row-major, every tensor at a multiple of 8 bytes. A dump is the same, so read and write are here.
   Errors end the program with a sentence; memory is given back at its end. */

#ifndef QWEN25VL_BIN_H
#define QWEN25VL_BIN_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SIDES = 8, MOST_SIGNS = 4096 };

typedef struct {
    char name[128], dtype[8], file[128];
    int sides;
    int64_t shape[MOST_SIDES], offset, count;
} Tensor;

typedef struct {
    char directory[MOST_SIGNS];
    Tensor *tensors;
    int count;
} Case;

typedef struct {
    FILE *index, *data;
    int64_t offset;
} Dump;

static void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

static void *room(int64_t count, size_t size) {
    void *memory = calloc((size_t)count + 1, size);
    if (memory == NULL) fail("no memory for %" PRId64 " values", count);
    return memory;
}

static FILE *opened(const char *directory, const char *name, const char *mode) {
    char path[MOST_SIGNS];
    int fits = (size_t)snprintf(path, sizeof path, "%s/%s", directory, name) < sizeof path;
    FILE *file = fits ? fopen(path, mode) : NULL;
    if (file == NULL) fail("cannot open %s/%s; was the case exported with --export bin?", directory, name);
    return file;
}

/* ------------------------------------------------------------------------------- reading a case: index.txt */

/* Reads a line, `name dtype ndim s0 s1 ... offset file`; returns 0 at the end of the index. */
static int next_tensor(FILE *index, Tensor *tensor) {
    tensor->count = 1;
    if (fscanf(index, "%127s", tensor->name) != 1) return 0;
    int good = fscanf(index, "%7s %d", tensor->dtype, &tensor->sides) == 2 && tensor->sides <= MOST_SIDES;
    for (int i = 0; i < tensor->sides && good; i++) {
        good = fscanf(index, "%" SCNd64, &tensor->shape[i]) == 1;
        tensor->count *= tensor->shape[i];
    }
    if (!good || fscanf(index, "%" SCNd64 " %127s", &tensor->offset, tensor->file) != 2)
        fail("index.txt says something strange of %s", tensor->name);
    return 1;
}

static Case read_case(const char *path) {
    Case found = {.count = 0};
    Tensor next;
    if ((size_t)snprintf(found.directory, sizeof found.directory, "%s/bin", path) >= sizeof found.directory)
        fail("the path of the case is too long");
    FILE *index = opened(found.directory, "index.txt", "r");
    while (next_tensor(index, &next)) {
        found.tensors = realloc(found.tensors, (size_t)(found.count + 1) * sizeof next);
        if (found.tensors == NULL) fail("no memory for index.txt");
        found.tensors[found.count++] = next;
    }
    fclose(index);
    return found;
}

static const Tensor *find(const Case *in, const char *name, const char *suffix) {
    char whole[160];
    snprintf(whole, sizeof whole, "%s%s", name, suffix);
    for (int i = 0; i < in->count; i++)
        if (strcmp(in->tensors[i].name, whole) == 0) return &in->tensors[i];
    return NULL;
}

static const Tensor *needed(const Case *in, const char *name, const char *suffix) {
    const Tensor *tensor = find(in, name, suffix);
    if (tensor == NULL) fail("the case has no %s%s", name, suffix);
    return tensor;
}

/* The bits of each value, put together byte by byte: files are little-endian, this machine need not be. */
static uint64_t *bits_of(const Case *in, const Tensor *tensor) {
    int bytes = strcmp(tensor->dtype, "BOOL") == 0 || strcmp(tensor->dtype, "U8") == 0 ? 1 : 8;
    if (bytes == 8 && strcmp(tensor->dtype, "I64") != 0 && strcmp(tensor->dtype, "F64") != 0)
        fail("%s is %s; this port reads I64, F64 and BOOL", tensor->name, tensor->dtype);
    uint64_t *bits = room(tensor->count, sizeof *bits);
    FILE *file = opened(in->directory, tensor->file, "rb");
    int bad = fseek(file, (long)tensor->offset, SEEK_SET);
    for (int64_t i = 0; i < tensor->count && !bad; i++)
        for (int byte = 0; byte < bytes; byte++) {
            int next = fgetc(file);
            bad |= next == EOF;
            bits[i] |= (uint64_t)(next & 0xff) << 8 * byte;
        }
    if (bad) fail("%s ends within %s", tensor->file, tensor->name);
    fclose(file);
    return bits;
}

static int64_t *integers(const Case *in, const Tensor *tensor) {
    if (strcmp(tensor->dtype, "F64") == 0) fail("%s is F64; whole numbers are wanted", tensor->name);
    return (int64_t *)bits_of(in, tensor); /* the signed type of the same size may alias */
}

static double *reals(const Case *in, const Tensor *tensor) {
    if (strcmp(tensor->dtype, "F64") != 0) fail("%s is %s, not F64", tensor->name, tensor->dtype);
    uint64_t *bits = bits_of(in, tensor);
    double *values = room(tensor->count, sizeof *values);
    memcpy(values, bits, (size_t)tensor->count * sizeof *values);
    return values;
}

/* ---------------------------------------------------------------------------- writing a dump, the same form */

static void put(Dump *dump, const char *name, const char *suffix, int sides, const int64_t *shape,
                const int64_t *values) {
    int64_t count = 1;
    fprintf(dump->index, "%s%s I64 %d", name, suffix, sides);
    for (int i = 0; i < sides; i++) {
        fprintf(dump->index, " %" PRId64, shape[i]);
        count *= shape[i];
    }
    fprintf(dump->index, " %" PRId64 " data.bin\n", dump->offset);
    for (int64_t i = 0; i < count; i++)
        for (int byte = 0; byte < 8; byte++) fputc((int)((uint64_t)values[i] >> 8 * byte & 0xff), dump->data);
    dump->offset += 8 * count; /* so every offset is a multiple of 8 */
}

static void finish(Dump *dump) {
    int bad = ferror(dump->data) | ferror(dump->index);
    bad |= fclose(dump->data) | fclose(dump->index);
    if (bad) fail("the dump cannot be written; is the disk full?");
}

#endif
