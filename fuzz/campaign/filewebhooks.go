package campaign

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// Webhook is who is told of what happens in a campaign. Its URL is a secret, which a
// campaign file does not have.
type Webhook struct {
	// At is "file:line".
	At string
	// URLFile is a file with the URL, URLEnv an environment variable; one of them is "".
	URLFile, URLEnv string
	// Format is that of package notify, "" for the generic one.
	Format string
	// HTTP allows http to other machines.
	HTTP bool
}

func (f *File) readWebhook(r *fileReader, n ast.Node) error {
	hook := Webhook{At: r.At(n)}
	err := r.Object(n, "webhook", map[string]strict.Setter{
		"url": func(_ ast.Node, at string) error {
			return strict.Fail(at, "webhook.url", "is a secret that does not belong in this file: name a file that has it with url_file, or an environment variable with url_env")
		},
		"url_file": r.path(f, "webhook.url_file", &hook.URLFile),
		"url_env": func(n ast.Node, _ string) (err error) {
			hook.URLEnv, err = r.String(n, "webhook.url_env")
			return err
		},
		"format": func(n ast.Node, at string) (err error) {
			if hook.Format, err = r.String(n, "webhook.format"); err == nil && hook.Format != "generic" && hook.Format != "slack" {
				return strict.Fail(at, "webhook.format", "%q: choose generic or slack", hook.Format)
			}
			return err
		},
		"allow_http": func(n ast.Node, _ string) (err error) {
			hook.HTTP, err = r.Flag(n, "webhook.allow_http")
			return err
		},
	})
	if err == nil && (hook.URLFile == "") == (hook.URLEnv == "") {
		return strict.Fail(hook.At, "webhook", "needs either url_file or url_env, where its URL is")
	}
	f.Webhooks = append(f.Webhooks, hook)
	return err
}
