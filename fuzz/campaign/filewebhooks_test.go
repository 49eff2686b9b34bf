package campaign

import (
	"slices"
	"strings"
	"testing"
)

func TestWebhooksOfAFile(t *testing.T) {
	const targets = "targets: [{object: a.o}]\n"
	f, err := ParseFile("dir/c.yaml", []byte(targets+"webhooks:\n  - {url_file: hook, format: slack}\n  - {url_env: HOOK, allow_http: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Webhook{
		{At: f.Webhooks[0].At, URLFile: "dir/hook", Format: "slack"},
		{At: f.Webhooks[1].At, URLEnv: "HOOK", HTTP: true},
	}
	if !slices.Equal(f.Webhooks, want) || !strings.HasPrefix(want[0].At, "dir/c.yaml:3") {
		t.Errorf("webhooks are %+v, want %+v", f.Webhooks, want)
	}
	for text, want := range map[string]string{
		"webhooks: [{url: 'https://a/T0PSECRET'}]":           "is a secret that does not belong in this file",
		"webhooks: [{format: slack}]":                        "needs either url_file or url_env",
		"webhooks: [{url_file: a, url_env: B}]":              "needs either url_file or url_env",
		"webhooks: [{url_env: B, format: xml}]":              `"xml": choose generic or slack`,
		"webhooks: [{url_env: B, frmat: slack}]":             "frmat",
		"webhooks: {url_env: B}":                             "webhooks",
		"webhooks: [{url_env: B, allow_http: perhaps}]":      "webhook.allow_http",
		"webhooks: [{url_env: [B]}]":                         "webhook.url_env",
		"webhooks: [{url_env: B, format: [generic, slack]}]": "webhook.format",
	} {
		_, err := ParseFile("c.yaml", []byte(targets+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "c.yaml:2") || strings.Contains(err.Error(), "T0PSECRET") {
			t.Errorf("%s: error %v, want one about %s", text, err, want)
		}
	}
}
