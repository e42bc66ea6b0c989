#!/usr/bin/perl
# Sends calls and signals over the system bus as fast as the bus takes them, with as many unanswered calls as
# the bus allows. Prints how many replies of each kind arrived: `Status 2000`,
# `org.freedesktop.DBus.Error.AccessDenied 7`. Usage: caller.pl COUNT. The wire format is that of the D-Bus
# Specification, "Message Format".
use strict;
use warnings;
use Socket;

my ($count) = @ARGV;
my @ours = ('org.appcluster1', '/org/appcluster1', 'org.appcluster1');
my @bus = ('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus');
my @monitoring = ($bus[0], $bus[1], 'org.freedesktop.DBus.Monitoring');
my @systemd = ('org.appcluster1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager');
my @properties = ('org.appcluster1', '/org/appcluster1', 'org.freedesktop.DBus.Properties');

socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
connect($socket, pack_sockaddr_un('/run/dbus/system_bus_socket')) or die "connect: $!";
put("\0AUTH EXTERNAL " . unpack('H*', $<) . "\r\n");
sysread($socket, my $answer, 4096) or die "no answer";
$answer =~ /^OK / or die $answer;
put("BEGIN\r\n");

my ($serial, $pending) = (0, 0);
my (%member, %came);
call(@bus, 'Hello');
for my $n (1 .. $count) {
    call(@ours, 'Status');
    message(4, @systemd, 'JobRemoved', 'uoss', body(pack('V', $n), text("/org/freedesktop/systemd1/job/$n"),
        text('worker@1.service'), text('failed')));
}
call(@ours, 'Status', 's', text('x' x 262_144)) for 1 .. 8;
call(@ours, 'Status', 'ay', pack('V', 7) . "garbage");
call(@ours, 'x' x 255);
call(@ours, 'Reload', 's', text('nobody'));
call(@ours, 'Abort');
call('org.appcluster1', '/', 'org.appcluster1', 'Status');
call(@properties, 'Set', 'ssv', body(text('org.appcluster1'), text('Desired') . "\1u\0", pack('V', 1)));
call(@bus, 'RequestName', 'su', body(text('org.appcluster1'), pack('V', 2)));
call(@monitoring, 'BecomeMonitor', 'asu', pack('V V', 0, 0));

receive() while $pending;
print "$_ $came{$_}\n" for sort keys %came;

sub call {
    # The bus refuses more than 128 (max_replies_per_connection).
    receive() while $pending >= 120;
    message(1, @_);
    $member{$serial} = $_[3];
    $pending++;
}

sub receive {
    my $head = take(16);
    my ($type, $body, $fields) = unpack('x C x2 V x4 V', $head);
    my $rest = take(($fields + 7 & ~7) + $body);
    # A method return or an error. Other messages are no reply.
    return unless $type == 2 || $type == 3;
    $pending--;
    my ($error) = $rest =~ /\x04\x01s\0....([\w.]+)/s;
    my ($reply_to) = $rest =~ /\x05\x01u\0(....)/s;
    $came{$type == 3 ? $error : $member{unpack('V', $reply_to)}}++;
}

sub message {
    my ($type, $destination, $path, $interface, $member, $signature, $content) = @_;
    $content //= '';
    my @fields = (
        "\1\1o\0" . text($path), "\2\1s\0" . text($interface),
        "\3\1s\0" . text($member), "\6\1s\0" . text($destination),
    );
    push @fields, "\x08\1g\0" . pack('C a* x', length $signature, $signature) if $signature;
    my $fields = '';
    $fields = padded($fields, 8) . $_ for @fields;
    my $head = pack('a C C C V V V', 'l', $type, 0, 1, length $content, ++$serial, length $fields);
    put(padded($head . $fields, 8) . $content);
}

sub text { return pack('V a* x', length $_[0], $_[0]) }

# Arguments that begin at multiples of four.
sub body {
    my $body = '';
    $body = padded($body, 4) . $_ for @_;
    return $body;
}

sub padded { my ($bytes, $to) = @_; return $bytes . "\0" x (-length($bytes) % $to) }

sub put {
    my ($bytes) = @_;
    while (length $bytes) {
        my $written = syswrite($socket, $bytes) // die "write: $!";
        substr($bytes, 0, $written) = '';
    }
}

sub take {
    my ($wanted) = @_;
    my $bytes = '';
    while (length $bytes < $wanted) {
        sysread($socket, $bytes, $wanted - length $bytes, length $bytes) or die 'the bus hung up';
    }
    return $bytes;
}
