package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign/serve"
)

// readToken reads a file with a token, "" for none. What is in the file is never shown.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < serve.MinToken || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("reading the token: %s has to hold one word of %d bytes or more; make one with: openssl rand -hex 16", path, serve.MinToken)
	}
	return token, nil
}

// notice is the first line of what was said: what follows is for those who read all.
func notice(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return first
}
