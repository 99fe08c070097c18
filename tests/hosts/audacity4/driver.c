/* Makes calls of the extension's library as they are written on standard input, and says what comes
   of them; built together with it under the sanitizers.

   A line is a call's name and its arguments: n NUMBER, s HEX (a text), e (no text at all), b INDEX (a
   buffer), t (true), z (none). `buffer INDEX BYTES` makes a buffer of exactly so many bytes, `fill
   INDEX HEX` writes into it, `show INDEX` prints it. `parse HEX` takes a status apart, and `fuzz SEED
   COUNT HEX` a text that is changed at random, so many times. */
#include "tweeze.c"

#define BUFFERS 16
static buffer_t buffers[BUFFERS];

static int digit(int c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static char *unhex(const char *hex, size_t *size)
{
    *size = strlen(hex) / 2;
    char *bytes = malloc(*size + 1);
    for (size_t i = 0; i < *size; i++)
        bytes[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    bytes[*size] = 0;
    return bytes;
}

static void hex(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", (unsigned char)bytes[i]);
}

/* The parser gets its bytes in memory of exactly that size: any byte beyond is noticed. */
static char *parse_exactly(const char *bytes, size_t size, run_t *run)
{
    char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    char *lines = parse_status(copy, size, run);
    free(copy);
    return lines;
}

static uint64_t state = 1;
static uint32_t chance(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static void fuzz(uint64_t seed, long count, const char *bytes, size_t size)
{
    static const char *const pieces[] = {"end\n", "clip=", "kind=", "name=", "\n", "=", "\r\n", "id=j1\n",
        "state=done\n", "\xf0\x9f\x90\x95", "\xed\xa0\x80", "\xc0\x80", "\xe2\x80\xa8", "clip=/\n", "clip=a\n"};
    long taken = 0;
    state = seed * 2654435761u + 1;
    for (long turn = 0; turn < count; turn++) {
        run_t run = {.id = "j1", .wav = NO_FILE};
        char *odd = malloc(size + 4096);
        size_t length = size;
        memcpy(odd, bytes, size);
        for (uint32_t change = chance(6); change--;) {
            size_t at = length ? chance((uint32_t)length) : 0;
            const char *piece = pieces[chance(sizeof pieces / sizeof *pieces)];
            size_t more = strlen(piece), most;
            switch (chance(5)) {
            case 0: if (length) odd[at] = (char)chance(256); break;
            case 1: length = at; break;
            case 2: most = chance(40) + 1;
                if (at + most <= length) { memmove(odd + at, odd + at + most, length - at - most); length -= most; }
                break;
            default: if (length + more < size + 4096) {
                    memmove(odd + at + more, odd + at, length - at);
                    memcpy(odd + at, piece, more);
                    length += more;
                }
            }
        }
        char *lines = parse_exactly(odd, length, &run);
        if (lines) {
            taken++;
            if (strlen(lines) > length || run.clips > CLIPS || !printable("", 0))
                abort();
            for (uint32_t i = 0; i < run.clips; i++)
                if (!*run.names[i] || strchr(run.names[i], '/'))
                    abort();
        } else if (run.clips)
            abort();
        free(lines);
        forget_clips(&run);
        free(odd);
    }
    printf("taken %ld of %ld\n", taken, count);
}

int main(void)
{
    static char line[1 << 22];
    while (fgets(line, sizeof line, stdin)) {
        size_t size;
        char *words = strtok(line, " \n"), *word;
        if (!words)
            continue;
        if (!strcmp(words, "buffer")) {
            int i = atoi(strtok(NULL, " \n"));
            free(buffers[i].data);
            buffers[i].size = (uint64_t)atoll(strtok(NULL, " \n"));
            buffers[i].data = calloc(1, buffers[i].size ? buffers[i].size : 1);
        } else if (!strcmp(words, "fill")) {
            int i = atoi(strtok(NULL, " \n"));
            char *bytes = unhex(strtok(NULL, " \n"), &size);
            memcpy(buffers[i].data, bytes, size);
            free(bytes);
        } else if (!strcmp(words, "show")) {
            int i = atoi(strtok(NULL, " \n"));
            hex(buffers[i].data, buffers[i].size);
            puts("");
        } else if (!strcmp(words, "parse")) {
            word = strtok(NULL, " \n");
            char *bytes = unhex(word ? word : "", &size);
            run_t run = {.id = "j1", .wav = NO_FILE};
            char *lines = parse_exactly(bytes, size, &run);
            printf("%u ", run.clips);
            hex(lines ? lines : "none", strlen(lines ? lines : "none"));
            for (uint32_t i = 0; i < run.clips; i++) {
                printf(" ");
                hex(run.names[i], strlen(run.names[i]));
            }
            puts("");
            free(lines);
            forget_clips(&run);
            free(bytes);
        } else if (!strcmp(words, "fuzz")) {
            uint64_t seed = (uint64_t)atoll(strtok(NULL, " \n"));
            long count = atol(strtok(NULL, " \n"));
            char *bytes = unhex(strtok(NULL, " \n"), &size);
            fuzz(seed, count, bytes, size);
            free(bytes);
        } else {
            value_t *given = NULL, result;
            char *texts[16] = {0};
            uint32_t count = 0;
            while ((word = strtok(NULL, " \n"))) {
                given = realloc(given, sizeof *given * (count + 1)); /* exactly as many as there are */
                value_t *one = memset(&given[count], 0xa5, sizeof *given);
                *one = (value_t){.type = IS_NONE};
                char *value = *word == 'z' || *word == 't' || *word == 'e' ? NULL : strtok(NULL, " \n");
                if (*word == 'n') {
                    one->type = IS_NUMBER;
                    one->n = strtod(value, NULL);
                } else if (*word == 's') {
                    one->type = IS_STRING;
                    texts[count] = unhex(value + 1, &size); /* after a letter: a text may be empty */
                    one->s = texts[count];
                } else if (*word == 'e') {
                    one->type = IS_STRING;
                } else if (*word == 't') {
                    one->type = IS_BOOL;
                    one->b = true;
                } else if (*word == 'b') {
                    one->type = IS_BUFFER;
                    one->buffer = buffers[atoi(value)];
                }
                count++;
            }
            memset(&result, 0xa5, sizeof result);
            int status = extension_dispatch_v0(words, given, count, &result);
            printf("%d ", status);
            if (status == BAD_ARGUMENT || status == UNKNOWN_CALL)
                printf("none");
            else if (result.type == IS_STRING) {
                printf("s");
                hex(result.s, strlen(result.s));
            } else if (result.type == IS_NUMBER)
                printf("n%.17g", result.n);
            else if (result.type == IS_BOOL)
                printf("b%d", result.b);
            else
                printf("none");
            puts("");
            for (uint32_t i = 0; i < count && i < 16; i++)
                free(texts[i]);
            free(given);
        }
        fflush(stdout);
    }
    for (int i = 0; i < BUFFERS; i++)
        free(buffers[i].data);
    for (uint32_t i = 0; i < RUNS; i++)
        if (runs[i].handle)
            release(&runs[i]);
    free(told);
    return 0;
}
