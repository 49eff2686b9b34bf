package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// claim keeps an output directory for one process. The kernel gives it up when the
// process ends, however it does.
type claim struct{ lock *os.File }

const (
	lockFile  = ".lock"       // of an output directory, has the owner's process id
	ownerFile = "target.json" // of an output directory, has an owner
	// maxOwner bounds both in bytes.
	maxOwner = 1 << 16
	// ownerVersion is that of target.json; files without one are read as well.
	ownerVersion = 1
)

// claimDir makes the directory if it is missing and takes it, unless another process
// has it.
func claimDir(dir string) (*claim, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making output directory %s: %w; choose another with -o", dir, err)
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("writing to output directory %s: %w; choose another with -o", dir, explainFull(err))
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("output directory %s is in use by %s: wait until it ends, or choose another directory with -o", dir, holder(f)), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w; choose a directory on a local file system with -o", path, err), f.Close())
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing %s: %w", path, explainFull(err)), f.Close())
	}
	return &claim{f}, nil
}

// holder says who has a lock.
func holder(f *os.File) string {
	text, _ := io.ReadAll(io.LimitReader(f, 32))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "another process" // which has just begun
	}
	return fmt.Sprintf("process %d", pid)
}

// Close gives the directory up.
func (c *claim) Close() error { return c.lock.Close() }

// owner is what an output directory is about.
type owner struct {
	Version int    `json:"version"`
	Program string `json:"program"`
	Type    string `json:"type"`
	// Object is the object's absolute path, or "the kernel"; Hash the SHA-256 of its
	// bytes, "" where there is no file.
	Object string `json:"object"`
	Hash   string `json:"hash,omitempty"`
	// Config is the target file's absolute path, "" where there is none.
	Config string `json:"config,omitempty"`
}

func newOwner(s *subject, f *targetFlags) (owner, error) {
	return f.ownerOf(s.path, s.target.Shape().Program, s.target.Shape().Type)
}

func (f *targetFlags) ownerOf(path, program, kind string) (o owner, err error) {
	o = owner{Version: ownerVersion, Program: program, Type: kind, Object: path}
	if f.config != "" {
		if o.Config, err = filepath.Abs(f.config); err != nil {
			return o, fmt.Errorf("naming target file %s: %w", f.config, err)
		}
	}
	if f.kernel.loaded() {
		return o, nil
	}
	b, err := os.ReadFile(path)
	if err == nil {
		o.Object, err = filepath.Abs(path)
	}
	sum := sha256.Sum256(b)
	o.Hash = hex.EncodeToString(sum[:])
	if err != nil {
		return o, fmt.Errorf("reading object: %w", err)
	}
	return o, nil
}

// settle makes an owner that of a directory. It is an error if the directory is about
// another program: inputs and findings of both could not be told apart. That the
// program comes from another object is worth a warning.
func (o owner) settle(dir string, u *ui) error {
	path := filepath.Join(dir, ownerFile)
	before, err := readOwner(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errNewer):
		return err
	case err != nil:
		return fmt.Errorf("%w; remove it if the directory is about %s, or choose another with -o", err, o)
	case before.Program != o.Program || before.Type != o.Type:
		return fmt.Errorf("output directory %s is about %s and cannot go on with %s: choose another directory with -o, and take inputs over with --seeds %s",
			dir, before, o, filepath.Join(dir, "corpus"))
	case before == o:
		return nil
	case before.Object != o.Object && before.Hash != o.Hash:
		u.warn("output directory %s has inputs and findings of %s from %s: the run goes on from them with %s; choose another directory with -o to keep objects apart",
			dir, before.Program, before.Object, o.Object)
	}
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	if err := writeWhole(path, append(b, '\n')); err != nil {
		return fmt.Errorf("writing %s: %w", path, explainFull(err))
	}
	return nil
}

func (o owner) String() string { return fmt.Sprintf("%s (%s)", o.Program, o.Type) }

// errNewer says that a file was written by a later version.
var errNewer = errors.New("use the bpffuzz that wrote it")

func readOwner(path string) (o owner, err error) {
	f, err := os.Open(path)
	if err != nil {
		return o, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxOwner)).Decode(&o); err != nil {
		return o, fmt.Errorf("reading %s: %w", path, err)
	}
	if o.Version > ownerVersion {
		return o, fmt.Errorf("reading %s: it has version %d, %d is known; %w", path, o.Version, ownerVersion, errNewer)
	}
	return o, nil
}
