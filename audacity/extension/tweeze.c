/* The native half of Tweeze's extension for Audacity 4: files, which its scripts cannot reach.

   One symbol, extension_dispatch_v0, with the calls of the table at the end; docs/architecture.md
   says what each takes and gives. Each call does one small thing (a chunk of samples, a status) and
   waits for nothing but the disk. The scripts make all of them but `version` on one of Audacity's
   worker threads; any call may come from any thread. */
#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _WIN32
#include <windows.h>
#define EXPORT __declspec(dllexport)
typedef HANDLE file_t;
#define NO_FILE INVALID_HANDLE_VALUE
#define SEPARATORS "/\\"
static SRWLOCK mutex = SRWLOCK_INIT;
#define LOCK() AcquireSRWLockExclusive(&mutex)
#define UNLOCK() ReleaseSRWLockExclusive(&mutex)
#else
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#define EXPORT __attribute__((visibility("default")))
typedef int file_t;
#define NO_FILE (-1)
#define SEPARATORS "/"
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
#define LOCK() pthread_mutex_lock(&mutex)
#define UNLOCK() pthread_mutex_unlock(&mutex)
#endif

#define VERSION "1"                 /* of the calls: effect.js knows the same */
#define CHUNK 65536u                /* frames of the longest chunk, as in Audacity's API */
#define SMALL (1u << 20)            /* bytes; nothing that programs tell each other is longer */
#define FIELDS (1u << 16)           /* bytes of a job's own lines */
#define WAV_HEADER 46u              /* bytes before the samples */
#define WAV_MOST (UINT32_MAX - 4096u) /* bytes of samples that a WAV file can hold */
#define CLIPS 64u                   /* more than a job of 16 sounds can have */
#define RUNS 16u                    /* jobs of all open windows together */
#define FORGOTTEN 120               /* seconds without a call after which a run was abandoned */
#define FRESH 5                     /* seconds; see engine/queue/heartbeat.py */

enum { WENT, REFUSED, UNKNOWN_CALL, BAD_ARGUMENT }; /* what a call returns */
enum { IS_NONE, IS_BOOL, IS_NUMBER, IS_STRING, IS_OBJECT, IS_BUFFER };
typedef struct { void *data; uint64_t size; } buffer_t;
typedef struct {
    uint32_t type;
    union { bool b; double n; const char *s; void *o; buffer_t buffer; };
} value_t;
_Static_assert(sizeof(value_t) == 24 && offsetof(value_t, n) == 8, "Audacity's ABI v0");

/* A job from its first sample to its last clip. */
typedef struct {
    double handle;                  /* 0: the place is free */
    char *home;
    char id[64];
    bool sent;
    uint32_t rate, channels;
    uint64_t frames;                /* written so far, or in all */
    file_t wav;                     /* the mixture that is being written, or the clip being read */
    int clip;                       /* which clip that is, or -1 */
    uint32_t clips;                 /* as its status names them */
    char *names[CLIPS];             /* of their files */
    int64_t touched;                /* seconds of a steady clock */
} run_t;
static run_t runs[RUNS];
static double last_handle;
static _Thread_local char *told;    /* the text that the last call on this thread returned */

#define NO_ROOM "Tweeze cannot write to its folder (is the disk full?): run 'tweeze doctor' in a terminal."
#define NO_RUN "This separation is not known any more: start it again."

/* Answers. */

static int32_t say(value_t *result, char *owned)
{
    free(told);
    told = owned;
    result->type = IS_STRING;
    result->s = owned ? owned : "There is no memory left: close something, and try again.";
    return owned ? WENT : REFUSED;
}

static char *text(const char *form, ...)
{
    va_list given, again;
    va_start(given, form);
    va_copy(again, given);
    int length = vsnprintf(NULL, 0, form, given);
    char *made = length < 0 ? NULL : malloc((size_t)length + 1);
    if (made)
        vsnprintf(made, (size_t)length + 1, form, again);
    va_end(again);
    va_end(given);
    return made;
}

static int32_t refuse(value_t *result, const char *why)
{
    say(result, text("%s", why));
    return REFUSED;
}

static int32_t number(value_t *result, double value)
{
    result->type = IS_NUMBER;
    result->n = value;
    return WENT;
}

/* Files. Those that are read may be replaced meanwhile, and may be none: neither is waited for. */

#ifdef _WIN32
static wchar_t *wide(const char *path)
{
    int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
    wchar_t *made = length > 0 ? malloc(sizeof(wchar_t) * (size_t)length) : NULL;
    if (made && !MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, made, length)) {
        free(made);
        made = NULL;
    }
    return made;
}

static file_t open_to_read(const char *path)
{
    wchar_t *name = wide(path);
    if (!name)
        return NO_FILE;
    file_t file = CreateFileW(name, GENERIC_READ,
        FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    free(name);
    if (file != NO_FILE && GetFileType(file) != FILE_TYPE_DISK) {
        CloseHandle(file);
        return NO_FILE;
    }
    return file;
}

static file_t open_to_write(const char *path)
{
    wchar_t *name = wide(path);
    file_t file = name ? CreateFileW(name, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_NEW,
        FILE_ATTRIBUTE_NORMAL, NULL) : NO_FILE;
    free(name);
    return file;
}

static bool shut(file_t file) { return CloseHandle(file) != 0; }

static bool size_of(file_t file, uint64_t *size)
{
    LARGE_INTEGER found;
    if (!GetFileSizeEx(file, &found))
        return false;
    *size = (uint64_t)found.QuadPart;
    return true;
}

static bool transfer(file_t file, void *data, size_t size, uint64_t at, bool write)
{
    char *place = data;
    while (size) {
        OVERLAPPED where = {0};
        where.Offset = (DWORD)at;
        where.OffsetHigh = (DWORD)(at >> 32);
        DWORD part = (DWORD)(size < (1u << 20) ? size : (1u << 20)), done = 0;
        BOOL went = write ? WriteFile(file, place, part, &done, &where)
                          : ReadFile(file, place, part, &done, &where);
        if (!went || !done)
            return false;
        place += done;
        at += done;
        size -= done;
    }
    return true;
}

static bool rename_file(const char *from, const char *to)
{
    wchar_t *old = wide(from), *new = wide(to);
    bool done = old && new && MoveFileExW(old, new, MOVEFILE_REPLACE_EXISTING);
    free(old);
    free(new);
    return done;
}

static void remove_file(const char *path)
{
    wchar_t *name = wide(path);
    if (name)
        DeleteFileW(name);
    free(name);
}

static bool is_there(const char *path)
{
    wchar_t *name = wide(path);
    bool found = name && GetFileAttributesW(name) != INVALID_FILE_ATTRIBUTES;
    free(name);
    return found;
}

static int64_t steady(void) { return (int64_t)(GetTickCount64() / 1000); }
static unsigned process(void) { return (unsigned)GetCurrentProcessId(); }

static char *variable(const char *name)
{
    wchar_t *key = wide(name);
    DWORD length = key ? GetEnvironmentVariableW(key, NULL, 0) : 0;
    wchar_t *found = length > 1 ? malloc(sizeof(wchar_t) * length) : NULL;
    char *value = NULL;
    if (found && GetEnvironmentVariableW(key, found, length) == length - 1) {
        int bytes = WideCharToMultiByte(CP_UTF8, 0, found, -1, NULL, 0, NULL, NULL);
        value = bytes > 0 ? malloc((size_t)bytes) : NULL;
        if (value)
            WideCharToMultiByte(CP_UTF8, 0, found, -1, value, bytes, NULL, NULL);
    }
    free(found);
    free(key);
    return value;
}

static bool absolute(const char *path)
{
    bool drive = path[0] && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
    return drive || (path[0] == '\\' && path[1] == '\\');
}
#else
static file_t open_to_read(const char *path)
{
    struct stat about;
    file_t file = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (file != NO_FILE && (fstat(file, &about) || !S_ISREG(about.st_mode))) {
        close(file);
        return NO_FILE;
    }
    return file;
}

static file_t open_to_write(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static bool shut(file_t file) { return close(file) == 0; }

static bool size_of(file_t file, uint64_t *size)
{
    struct stat about;
    if (fstat(file, &about))
        return false;
    *size = (uint64_t)about.st_size;
    return true;
}

static bool transfer(file_t file, void *data, size_t size, uint64_t at, bool write)
{
    char *place = data;
    while (size) {
        ssize_t done = write ? pwrite(file, place, size, (off_t)at)
                             : pread(file, place, size, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        place += done;
        at += (uint64_t)done;
        size -= (size_t)done;
    }
    return true;
}

static bool rename_file(const char *from, const char *to) { return rename(from, to) == 0; }
static void remove_file(const char *path) { unlink(path); }

static bool is_there(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0;
}

static int64_t steady(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec;
}

static unsigned process(void) { return (unsigned)getpid(); }

static char *variable(const char *name)
{
    const char *found = getenv(name);
    return found && *found ? text("%s", found) : NULL;
}

static bool absolute(const char *path) { return path[0] == '/'; }
#endif

/* Return the bytes of a small file with a NUL after them, or NULL. */
static char *read_small(const char *path, size_t *size)
{
    uint64_t length = 0;
    char *bytes = NULL;
    file_t file = open_to_read(path);
    if (file == NO_FILE)
        return NULL;
    if (size_of(file, &length) && length <= SMALL && (bytes = malloc((size_t)length + 1))) {
        if (transfer(file, bytes, (size_t)length, 0, false)) {
            bytes[length] = 0;
            *size = (size_t)length;
        } else {
            free(bytes);
            bytes = NULL;
        }
    }
    shut(file);
    return bytes;
}

/* Write a file of the user's alone that readers see whole or not at all. */
static bool write_small(const char *folder, const char *name, const char *content)
{
    char *path = text("%s/%s", folder, name);
    char *part = text("%s/.%s.%u", folder, name, process());
    file_t file = path && part ? open_to_write(part) : NO_FILE;
    bool whole = false;
    if (file != NO_FILE) {
        whole = transfer(file, (void *)content, strlen(content), 0, true);
        whole = shut(file) && whole && rename_file(part, path);
        if (!whole)
            remove_file(part);
    }
    free(part);
    free(path);
    return whole;
}

/* Texts. */

/* Return the bytes of the character at `s` if it is whole, valid, and no control character. */
static size_t character(const unsigned char *s, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (!length || length > left)
        return 0;
    uint32_t code = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    bool bad = code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)
        || code < 32 || (code >= 127 && code < 160) || code == 0x2028 || code == 0x2029;
    return bad ? 0 : length;
}

static bool printable(const char *s, size_t length)
{
    for (size_t at = 0, step; at < length; at += step)
        if (!(step = character((const unsigned char *)s + at, length - at)))
            return false;
    return true;
}

typedef struct { const char *line; size_t length; const char *value; } line_t;

/* Take the next `key=value` line of a whole text: 1, 0 after the closing `end`, or -1. */
static int next_line(const char **at, const char *stop, line_t *line)
{
    const char *start = *at, *end = memchr(start, '\n', (size_t)(stop - start));
    if (!end)
        return -1;
    *at = end + 1;
    if (end > start && end[-1] == '\r')
        end--;
    *line = (line_t){start, (size_t)(end - start), NULL};
    if (line->length == 3 && !memcmp(start, "end", 3))
        return *at == stop ? 0 : -1;
    const char *equals = memchr(start, '=', line->length);
    if (!equals || equals == start || !printable(start, line->length))
        return -1;
    line->value = equals + 1;
    return 1;
}

static bool has_key(const line_t *line, const char *key)
{
    size_t length = strlen(key);
    return (size_t)(line->value - line->line) == length + 1 && !memcmp(line->line, key, length);
}

/* Whether an engine keeps its sign of life fresh. */
static bool alive(const char *home)
{
    char *path = text("%s/spool/engine", home);
    size_t size = 0;
    char *beat = path ? read_small(path, &size) : NULL;
    double told_at = 0;
    line_t line;
    const char *at = beat, *stop = beat ? beat + size : NULL;
    int more = beat ? 1 : -1;
    while (more == 1 && (more = next_line(&at, stop, &line)) == 1)
        if (has_key(&line, "time"))
            told_at = strtod(line.value, NULL);
    free(beat);
    free(path);
    double off = told_at - (double)time(NULL);
    return more == 0 && off < FRESH && off > -FRESH;
}

/* Return the engine's folder as `home` names it, or the usual one where that is empty; or NULL. */
static char *find_home(const char *home)
{
    char *found = *home ? text("%s", home) : variable("TWEEZE_HOME");
    if (!found) {
#ifdef _WIN32
        char *data = variable("LOCALAPPDATA");
        found = data ? text("%s\\tweeze", data) : NULL;
#elif defined(__APPLE__)
        char *data = variable("HOME");
        found = data ? text("%s/Library/Application Support/tweeze", data) : NULL;
#else
        char *data = variable("XDG_DATA_HOME"), *user = variable("HOME");
        if (data && absolute(data))
            found = text("%s/tweeze", data);
        else if (user)
            found = text("%s/.local/share/tweeze", user);
        free(user);
#endif
        free(data);
    }
    if (found && (!absolute(found) || !printable(found, strlen(found)))) {
        free(found);
        found = NULL;
    }
    return found;
}

/* Runs. */

static void close_file(run_t *run)
{
    if (run->wav != NO_FILE)
        shut(run->wav);
    run->wav = NO_FILE;
    run->clip = -1;
}

static void remove_mixture(const run_t *run, bool whole)
{
    char *path = text(whole ? "%s/mixtures/%s.wav" : "%s/mixtures/.%s.wav", run->home, run->id);
    if (path)
        remove_file(path);
    free(path);
}

static void forget_clips(run_t *run)
{
    for (uint32_t i = 0; i < run->clips; i++)
        free(run->names[i]);
    run->clips = 0;
}

static void release(run_t *run)
{
    close_file(run);
    forget_clips(run);
    free(run->home);
    memset(run, 0, sizeof *run);
}

/* Take back what was written, or have the engine stop; true if that is sure to happen. */
static bool cancel(run_t *run)
{
    bool done = true;
    close_file(run);
    if (!run->sent) {
        remove_mixture(run, false);
    } else {
        char *job = text("%s/spool/jobs/%s", run->home, run->id);
        char *folder = text("%s/spool/cancel", run->home);
        if (job && is_there(job) && !alive(run->home)) {
            remove_file(job);
            remove_mixture(run, true);
        } else {
            done = folder && write_small(folder, run->id, "end\n");
        }
        free(folder);
        free(job);
    }
    release(run);
    return done;
}

static run_t *find(const value_t *handle)
{
    if (handle->type == IS_NUMBER && handle->n >= 1)
        for (uint32_t i = 0; i < RUNS; i++)
            if (runs[i].handle == handle->n) {
                runs[i].touched = steady();
                return &runs[i];
            }
    return NULL;
}

static run_t *free_place(void)
{
    run_t *found = NULL;
    for (uint32_t i = 0; i < RUNS; i++) {
        if (runs[i].handle && steady() - runs[i].touched > FORGOTTEN)
            cancel(&runs[i]);
        if (!runs[i].handle && !found)
            found = &runs[i];
    }
    return found;
}

/* Calls. */

static int32_t do_version(const value_t *given, uint32_t count, value_t *result)
{
    (void)given;
    (void)count;
    return say(result, text("%s", VERSION));
}

static int32_t do_alive(const value_t *given, uint32_t count, value_t *result)
{
    (void)count;
    char *home = find_home(given[0].s);
    result->type = IS_BOOL;
    result->b = home && alive(home);
    free(home);
    return WENT;
}

static int32_t do_begin(const value_t *given, uint32_t count, value_t *result)
{
    (void)count;
    double rate = given[1].n, channels = given[2].n;
    if (!(rate >= 1 && rate <= 768000 && rate == (uint32_t)rate && (channels == 1 || channels == 2)))
        return BAD_ARGUMENT;
    run_t *run = free_place();
    if (!run)
        return refuse(result, "Tweeze is at work on too much at once: wait, or cancel something.");
    *run = (run_t){.rate = (uint32_t)rate, .channels = (uint32_t)channels, .wav = NO_FILE, .clip = -1};
    run->home = find_home(given[0].s);
    if (!run->home)
        return refuse(result, "Tweeze's folder is not known: run 'tweeze install audacity' again.");
    struct timespec now = {0};
    struct tm parts = {0};
    timespec_get(&now, TIME_UTC);
#ifdef _WIN32
    gmtime_s(&parts, &now.tv_sec);
#else
    gmtime_r(&now.tv_sec, &parts);
#endif
    size_t length = strftime(run->id, 32, "%Y%m%d-%H%M%S", &parts);
    last_handle += 1;
    snprintf(run->id + length, sizeof run->id - length, "-%09ld-%u-%.0f", (long)now.tv_nsec, process(),
        last_handle);
    char *path = text("%s/mixtures/.%s.wav", run->home, run->id);
    run->wav = path ? open_to_write(path) : NO_FILE;
    free(path);
    if (run->wav == NO_FILE) {
        release(run);
        return refuse(result, NO_ROOM);
    }
    run->handle = last_handle;
    run->touched = steady();
    return number(result, run->handle);
}

/* Return how many frames `given` says, if so many fit into the buffers after it; else 0. */
static uint32_t frames_of(const value_t *given, uint32_t count, uint32_t channels)
{
    double frames = given[0].n;
    if (given[0].type != IS_NUMBER || count != channels + 1
        || !(frames >= 1 && frames <= CHUNK && frames == (uint32_t)frames))
        return 0;
    for (uint32_t c = 1; c < count; c++)
        if (given[c].type != IS_BUFFER || !given[c].buffer.data || given[c].buffer.size < frames * 4)
            return 0;
    return (uint32_t)frames;
}

static int32_t do_put(const value_t *given, uint32_t count, value_t *result)
{
    run_t *run = find(&given[0]);
    if (!run)
        return refuse(result, NO_RUN);
    uint32_t frames = frames_of(given + 1, count - 1, run->channels);
    if (run->sent || !frames)
        return BAD_ARGUMENT;
    uint64_t frame = 4u * run->channels;
    if ((run->frames + frames) * frame > WAV_MOST)
        return refuse(result, "The selection is too long for one file: select less of it.");
    char *mixed = malloc((size_t)(frames * frame));
    if (!mixed)
        return say(result, NULL);
    for (uint32_t c = 0; c < run->channels; c++)
        for (uint32_t i = 0; i < frames; i++)
            memcpy(mixed + i * frame + 4u * c, (char *)given[2 + c].buffer.data + 4u * i, 4);
    bool went = transfer(run->wav, mixed, (size_t)(frames * frame), WAV_HEADER + run->frames * frame, true);
    free(mixed);
    if (!went)
        return refuse(result, NO_ROOM);
    run->frames += frames;
    return number(result, (double)run->frames);
}

static unsigned char *little(unsigned char *at, uint32_t value, int bytes)
{
    while (bytes--) {
        *at++ = (unsigned char)value;
        value >>= 8;
    }
    return at;
}

static bool write_header(const run_t *run)
{
    unsigned char header[WAV_HEADER], *at = header;
    uint32_t frame = 4u * run->channels, bytes = (uint32_t)(run->frames * frame);
    memcpy(at, "RIFF", 4);
    at = little(at + 4, bytes + WAV_HEADER - 8, 4);
    memcpy(at, "WAVEfmt ", 8);
    at = little(at + 8, 18, 4);
    at = little(at, 3, 2); /* WAVE_FORMAT_IEEE_FLOAT */
    at = little(at, run->channels, 2);
    at = little(at, run->rate, 4);
    at = little(at, run->rate * frame, 4);
    at = little(at, frame, 2);
    at = little(at, 32, 2);
    at = little(at, 0, 2);
    memcpy(at, "data", 4);
    little(at + 4, bytes, 4);
    return transfer(run->wav, header, sizeof header, 0, true);
}

/* Whether lines are `key=value`, each ended, with no key that is for the library to say. */
static bool fit_fields(const char *fields)
{
    static const char *const own[] = {"tweeze", "id", "mixture", "end"};
    const char *at = fields, *stop = fields + strlen(fields);
    if (stop == fields || stop - fields > (ptrdiff_t)FIELDS)
        return false;
    while (at < stop) {
        line_t line;
        if (next_line(&at, stop, &line) != 1)
            return false;
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            if (has_key(&line, own[i]))
                return false;
    }
    return true;
}

static int32_t do_submit(const value_t *given, uint32_t count, value_t *result)
{
    (void)count;
    run_t *run = find(&given[0]);
    if (!run)
        return refuse(result, NO_RUN);
    if (run->sent || !run->frames || !fit_fields(given[1].s))
        return BAD_ARGUMENT;
    bool whole = write_header(run);
    whole = shut(run->wav) && whole;
    run->wav = NO_FILE;
    char *part = text("%s/mixtures/.%s.wav", run->home, run->id);
    char *path = text("%s/mixtures/%s.wav", run->home, run->id);
    char *jobs = text("%s/spool/jobs", run->home);
    char *job = path ? text("tweeze=1\nid=%s\nmixture=%s\n%send\n", run->id, path, given[1].s) : NULL;
    whole = whole && part && job && jobs && rename_file(part, path);
    if (whole && !write_small(jobs, run->id, job)) {
        remove_file(path);
        whole = false;
    }
    free(job);
    free(jobs);
    free(path);
    free(part);
    if (!whole) {
        remove_mixture(run, false);
        release(run);
        return refuse(result, NO_ROOM);
    }
    run->sent = true;
    return say(result, text("%s", run->id));
}

/* Take a status apart: keep the names of its clips' files, and return the lines that the scripts
   read, or NULL if it is not of its form. */
static char *parse_status(const char *bytes, size_t size, run_t *run)
{
    static const char *const passed[] = {
        "state", "progress", "message", "note", "kind", "query", "name", "heard", "answers"};
    const char *at = bytes, *stop = bytes + size;
    char *out = malloc(size + 1), *end = out;
    uint32_t kinds = 0, names = 0;
    bool state = false;
    int more = out ? 1 : -1;
    forget_clips(run);
    while (more == 1) {
        line_t line;
        if ((more = next_line(&at, stop, &line)) != 1)
            break;
        size_t length = line.length - (size_t)(line.value - line.line);
        if (has_key(&line, "id") && (length != strlen(run->id) || memcmp(line.value, run->id, length)))
            more = -1;
        if (has_key(&line, "clip")) {
            /* The folder is known; a name from outside never becomes a path. */
            const char *name = line.value, *after = line.value + length;
            for (const char *c = name; c < after; c++)
                if (strchr(SEPARATORS, *c))
                    name = c + 1;
            char *kept = run->clips < CLIPS && name < after ? text("%.*s", (int)(after - name), name) : NULL;
            if (kept)
                run->names[run->clips++] = kept;
            else
                more = -1;
        }
        state |= has_key(&line, "state");
        kinds += has_key(&line, "kind");
        names += has_key(&line, "name");
        for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
            if (has_key(&line, passed[i])) {
                memcpy(end, line.line, line.length);
                end += line.length;
                *end++ = '\n';
            }
    }
    if (more != 0 || !state || kinds != run->clips || names != run->clips) {
        forget_clips(run);
        free(out);
        return NULL;
    }
    *end = 0;
    return out;
}

static int32_t do_state(const value_t *given, uint32_t count, value_t *result)
{
    (void)count;
    run_t *run = find(&given[0]);
    if (!run)
        return refuse(result, NO_RUN);
    if (!run->sent)
        return BAD_ARGUMENT;
    char *job = text("%s/spool/jobs/%s", run->home, run->id);
    char *path = text("%s/spool/status/%s", run->home, run->id);
    size_t size = 0;
    bool waits = job && is_there(job); /* looked at first: the status comes before the file goes */
    char *bytes = path ? read_small(path, &size) : NULL;
    char *lines = bytes ? parse_status(bytes, size, run) : NULL;
    char *said = text("engine=%s\nwaits=%s\n%s", alive(run->home) ? "yes" : "no", waits ? "yes" : "no",
        lines ? lines : bytes ? "state=unreadable\n" : "state=unknown\n");
    free(lines);
    free(bytes);
    free(path);
    free(job);
    return say(result, said);
}

static uint32_t read_little(const unsigned char *at, int bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | at[bytes];
    return value;
}

/* Return where the samples of a float32 WAV file begin if it has these channels, this rate and so
   many frames; else 0. */
static uint64_t find_samples(file_t file, const run_t *run)
{
    unsigned char head[40];
    uint64_t size = 0, at = 12;
    bool fits = false;
    if (!size_of(file, &size) || !transfer(file, head, 12, 0, false)
        || memcmp(head, "RIFF", 4) || memcmp(head + 8, "WAVE", 4))
        return 0;
    while (at + 8 <= size && transfer(file, head, 8, at, false)) {
        uint32_t length = read_little(head + 4, 4);
        bool format = !memcmp(head, "fmt ", 4), data = !memcmp(head, "data", 4);
        at += 8;
        if (length > size - at)
            return 0;
        if (data)
            return fits && length == run->frames * 4 * run->channels ? at : 0;
        if (format) {
            if (length < 16 || !transfer(file, head, length < 40 ? length : 40, at, false))
                return 0;
            uint32_t kind = read_little(head, 2);
            if (kind == 0xfffe && length >= 40)
                kind = read_little(head + 24, 2);
            fits = kind == 3 && read_little(head + 2, 2) == run->channels
                && read_little(head + 4, 4) == run->rate && read_little(head + 14, 2) == 32;
        }
        at += length + (length & 1);
    }
    return 0;
}

static int32_t do_fetch(const value_t *given, uint32_t count, value_t *result)
{
    run_t *run = find(&given[0]);
    if (!run)
        return refuse(result, NO_RUN);
    double clip = given[1].n, first = given[2].n;
    uint32_t frames = frames_of(given + 3, count - 3, run->channels);
    if (!run->sent || !frames || !(clip >= 0 && clip < run->clips && clip == (uint32_t)clip)
        || !(first >= 0 && first <= (double)run->frames && first == (double)(uint64_t)first)
        || frames > run->frames - (uint64_t)first)
        return BAD_ARGUMENT;
    if (run->clip != (int)clip) {
        close_file(run);
        char *path = text("%s/clips/%s/%s", run->home, run->id, run->names[(int)clip]);
        run->wav = path ? open_to_read(path) : NO_FILE;
        free(path);
        if (run->wav == NO_FILE)
            return refuse(result, "A clip is not there any more: start the separation again.");
        run->clip = (int)clip;
    }
    uint64_t frame = 4u * run->channels, start = find_samples(run->wav, run);
    char *mixed = malloc((size_t)(frames * frame));
    if (!mixed)
        return say(result, NULL);
    if (!start || !transfer(run->wav, mixed, (size_t)(frames * frame), start + (uint64_t)first * frame, false)) {
        free(mixed);
        return refuse(result, "A clip does not fit the selection: start the separation again.");
    }
    for (uint32_t c = 0; c < run->channels; c++)
        for (uint32_t i = 0; i < frames; i++)
            memcpy((char *)given[4 + c].buffer.data + 4u * i, mixed + i * frame + 4u * c, 4);
    free(mixed);
    return number(result, frames);
}

static int32_t do_cancel(const value_t *given, uint32_t count, value_t *result)
{
    (void)count;
    run_t *run = find(&given[0]);
    return run && !cancel(run) ? refuse(result, NO_ROOM) : WENT;
}

static int32_t do_finish(const value_t *given, uint32_t count, value_t *result)
{
    (void)count;
    (void)result;
    run_t *run = find(&given[0]);
    if (run)
        release(run);
    return WENT;
}

static int32_t do_report(const value_t *given, uint32_t count, value_t *result)
{
    (void)count;
    char *home = find_home(given[0].s);
    bool fits = strlen(given[1].s) <= SMALL;
    bool done = home && fits && write_small(home, "audacity4-selftest.txt", given[1].s);
    char *path = done ? text("%s/audacity4-selftest.txt", home) : NULL;
    free(home);
    return done ? say(result, path) : refuse(result, NO_ROOM);
}

/* For the selftest: give a text back, and double the samples in a buffer where they lie. */
static int32_t do_probe(const value_t *given, uint32_t count, value_t *result)
{
    if (count != 2 || given[1].type != IS_BUFFER || !given[1].buffer.data)
        return BAD_ARGUMENT;
    for (uint64_t i = 0; i < given[1].buffer.size / 4; i++) {
        float sample;
        char *place = (char *)given[1].buffer.data + 4 * i;
        memcpy(&sample, place, 4);
        sample *= 2;
        memcpy(place, &sample, 4);
    }
    return say(result, text("%s", given[0].s));
}

/* Types: s a string, n a number, . one or two of a kind that the call looks at itself. */
static const struct {
    const char *name, *takes;
    int32_t (*call)(const value_t *given, uint32_t count, value_t *result);
} calls[] = {
    {"version", "", do_version},
    {"alive", "s", do_alive},
    {"begin", "snn", do_begin},
    {"put", "nn.", do_put},
    {"submit", "ns", do_submit},
    {"state", "n", do_state},
    {"fetch", "nnnn.", do_fetch},
    {"cancel", "n", do_cancel},
    {"finish", "n", do_finish},
    {"report", "ss", do_report},
    {"probe", "s.", do_probe},
};

static bool fits(const char *takes, const value_t *given, uint32_t count)
{
    for (uint32_t i = 0; takes[i]; i++) {
        if (i >= count)
            return false;
        if (takes[i] == '.')
            return count <= i + 2; /* there is one, for i < count */
        if (given[i].type != (takes[i] == 's' ? IS_STRING : IS_NUMBER) || (takes[i] == 's' && !given[i].s))
            return false;
    }
    return count == strlen(takes);
}

EXPORT int32_t extension_dispatch_v0(const char *call, const value_t *given, uint32_t count, value_t *result)
{
    if (!call || !result || (count && !given))
        return BAD_ARGUMENT;
    result->type = IS_NONE;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(calls[i].name, call)) {
            if (!fits(calls[i].takes, given, count))
                return BAD_ARGUMENT;
            bool alone = *calls[i].takes; /* `version` is asked for on the main thread: no waiting */
            if (alone)
                LOCK();
            int32_t status = calls[i].call(given, count, result);
            if (alone)
                UNLOCK();
            return status;
        }
    return UNKNOWN_CALL;
}
