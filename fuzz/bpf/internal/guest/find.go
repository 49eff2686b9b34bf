package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// KernelVariable names the environment variable that holds the path of the kernel
// image to boot.
const KernelVariable = "BPFFUZZ_GUEST_KERNEL"

// Emulator is the program that a guest runs in.
const Emulator = "qemu-system-x86_64"

// ErrMissing says that this machine has not got what a guest is made of. Any other
// error is one to look into.
var ErrMissing = errors.New("no guest can be started here")

// Find returns the path of the kernel image that guests boot: what KernelVariable
// says, else the newest /boot/vmlinuz-*. The error wraps ErrMissing where there is
// none, and where the emulator is not installed.
func Find() (string, error) {
	if runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("%w: guests are x86-64 as the tests that they run, and this machine is %s", ErrMissing, runtime.GOARCH)
	}
	if _, err := exec.LookPath(Emulator); err != nil {
		return "", fmt.Errorf("%w: %w: install the package qemu-system-x86", ErrMissing, err)
	}
	if path := os.Getenv(KernelVariable); path != "" {
		if err := readable(path); err != nil {
			return "", fmt.Errorf("the kernel image that %s names: %w", KernelVariable, err)
		}
		return path, nil
	}
	return newestIn("/boot")
}

// newestIn returns the kernel image in a directory that changed last.
func newestIn(dir string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "vmlinuz-*"))
	if err != nil {
		return "", fmt.Errorf("looking for a kernel image: %w", err)
	}
	newest, changed := "", time.Time{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err == nil && readable(path) == nil && (newest == "" || info.ModTime().After(changed)) {
			newest, changed = path, info.ModTime()
		}
	}
	if newest == "" {
		return "", fmt.Errorf("%w: no kernel image %s/vmlinuz-* can be read: name one in %s", ErrMissing, dir, KernelVariable)
	}
	return newest, nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
