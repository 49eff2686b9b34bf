//go:build !unix

package journal

import (
	"errors"
	"os"
)

func mapFile(*os.File, int) ([]byte, error) {
	return nil, errors.New("files cannot be mapped on this system: run without a journal")
}

func unmap([]byte) error { return nil }

func syncMapping([]byte) error { return nil }

func pageSize() int { return os.Getpagesize() }
