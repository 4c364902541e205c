package e2e

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ssmrun/internal/testenv"
)

// tunnel is a proxy that leads every host to one address, so that clients can
// use the service's names on a machine that does not know them. TLS goes through
// it unread.
func tunnel(t *testing.T, to string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { lead(conn, to) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return "http://" + listener.Addr().String()
}

func lead(conn net.Conn, to string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	r, err := http.ReadRequest(in)
	if err != nil || r.Method != http.MethodConnect {
		return
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, out)
}

// TestTLSClients: curl, the AWS CLI and ssmrun over HTTPS, by the service's
// names, with its CA and with another's.
func TestTLSClients(t *testing.T) {
	t.Parallel()
	tls := []string{"--tls-listen", "127.0.0.1:0", "--domain", "lab.test"}
	s := testenv.Start(t, testenv.Options{Agents: 1, Buckets: []string{"logs"}, Args: tls})
	other := testenv.Start(t, testenv.Options{Args: tls})
	u, err := url.Parse(s.TLSEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	testenv.WriteFile(t, filepath.Join(dir, "config"), "[profile lab]\nca_bundle = "+s.CAFile+"\naws_access_key_id = "+s.AccessKeyID+"\naws_secret_access_key = "+s.SecretKey+"\n", 0o600)
	testenv.WriteFile(t, filepath.Join(dir, "virtual"), "[default]\ns3 =\n  addressing_style = virtual\n", 0o600)
	testenv.WriteFile(t, filepath.Join(dir, "hello"), "hello", 0o600)
	env := append(testenv.CleanEnv(),
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID="+s.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+s.SecretKey,
		"HTTPS_PROXY="+tunnel(t, u.Host), "NO_PROXY=", "no_proxy=", "HOME="+dir)
	ssmrun := testenv.Binary(t, "ssmrun")
	for name, c := range map[string]struct {
		command []string
		env     []string
		fails   bool
		says    string
	}{
		"curl":                 {[]string{"/usr/bin/curl", "-sS", "--cacert", s.CAFile, "--noproxy", "*", "--connect-to", "::" + u.Host, "https://logs.s3.us-east-1.lab.test/"}, nil, false, "carries no signature"},
		"curl, another CA":     {[]string{"/usr/bin/curl", "-sS", "--cacert", other.CAFile, "--noproxy", "*", "--connect-to", "::" + u.Host, "https://ssm.us-east-1.lab.test/"}, nil, true, "SSL certificate problem"},
		"aws":                  {[]string{awsCLI, "--ca-bundle", s.CAFile, "--endpoint-url", "https://ssm.us-east-1.lab.test", "ssm", "describe-instance-information"}, nil, false, s.InstanceIDs[0]},
		"aws, an address":      {[]string{awsCLI, "--ca-bundle", s.CAFile, "--endpoint-url", s.TLSEndpoint, "ssm", "describe-instance-information"}, []string{"HTTPS_PROXY="}, false, s.InstanceIDs[0]},
		"aws, another CA":      {[]string{awsCLI, "--ca-bundle", other.CAFile, "--endpoint-url", "https://ssm.us-east-1.lab.test", "ssm", "describe-instance-information"}, nil, true, "SSL validation failed"},
		"aws, a wrong name":    {[]string{awsCLI, "--ca-bundle", s.CAFile, "--endpoint-url", "https://ssm.us-east-1.lab.test", "sts", "get-caller-identity"}, nil, true, "correct service: 'ssm'"},
		"aws s3 by host":       {[]string{awsCLI, "--ca-bundle", s.CAFile, "--endpoint-url", "https://s3.us-east-1.lab.test", "s3", "cp", filepath.Join(dir, "hello"), "s3://logs/by host"}, []string{"AWS_CONFIG_FILE=" + filepath.Join(dir, "virtual")}, false, "upload:"},
		"ssmrun":               {[]string{ssmrun, "run", "--instance-ids", s.InstanceIDs[0], "--", "echo over tls"}, []string{"AWS_ENDPOINT_URL=https://ssm.us-east-1.lab.test", "AWS_CA_BUNDLE=" + s.CAFile}, false, "over tls"},
		"ssmrun, an address":   {[]string{ssmrun, "run", "--instance-ids", s.InstanceIDs[0], "--output-s3-bucket", "logs", "--", "echo over tls"}, []string{"AWS_ENDPOINT_URL=" + s.TLSEndpoint, "AWS_CA_BUNDLE=" + s.CAFile}, false, "over tls"},
		"ssmrun, a profile":    {[]string{ssmrun, "instances", "--profile", "lab", "--endpoint-url", s.TLSEndpoint}, []string{"AWS_CONFIG_FILE=" + filepath.Join(dir, "config")}, false, s.InstanceIDs[0]},
		"ssmrun, another CA":   {[]string{ssmrun, "instances", "--endpoint-url", s.TLSEndpoint}, []string{"AWS_CA_BUNDLE=" + other.CAFile}, true, "certificate signed by unknown authority"},
		"ssmrun, no CA":        {[]string{ssmrun, "run", "--all", "--endpoint-url", s.TLSEndpoint, "--", "true"}, nil, true, "AWS_CA_BUNDLE, or"},
		"ssmrun, a wrong name": {[]string{ssmrun, "run", "--all", "--endpoint-url", "https://ssm.other.test", "--", "true"}, []string{"AWS_CA_BUNDLE=" + s.CAFile}, true, "--tls-name"},
		"ssmrun env":           {[]string{ssmrun, "env", "--data", s.Data, "--tls"}, nil, false, "export AWS_ENDPOINT_URL=" + s.TLSEndpoint + "\n"},
		"ssmrun env, its CA":   {[]string{ssmrun, "env", "--data", s.Data, "--tls"}, nil, false, "export AWS_CA_BUNDLE=" + s.CAFile + "\n"},
		"ssmrun env, as ever":  {[]string{ssmrun, "env", "--data", s.Data}, nil, false, "export AWS_ENDPOINT_URL=" + s.Endpoint + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(c.command[0]); err != nil {
				testenv.NotRun(t, "HTTPS with "+filepath.Base(c.command[0]), "no "+c.command[0], "apt-get install curl awscli (as root)")
			}
			cmd := exec.CommandContext(testenv.Context(t), c.command[0], c.command[1:]...)
			cmd.Env = append(append([]string(nil), env...), c.env...)
			out, err := cmd.CombinedOutput()
			_, exited := errors.AsType[*exec.ExitError](err)
			if err != nil != c.fails || c.fails && !exited || !strings.Contains(string(out), c.says) {
				t.Errorf("%v, want %q in:\n%s", err, c.says, out)
			}
		})
	}
}
