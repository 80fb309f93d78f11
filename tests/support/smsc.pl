#!/usr/bin/perl
# A message centre for tests: SMPP 3.4 as Net::SMPP (Debian's libnet-smpp-perl) speaks it, which knows nothing of the courier's
# library.
#
#     smsc.pl DIRECTORY PORT PASSWORD
#
# Listens on 127.0.0.1 and prints the port as one line (0 means any free one). Each message that is taken is a line of
# DIRECTORY/messages: id, source, destination, esm_class, data_coding, registered_delivery, octets in hexadecimal. Receipts
# that are asked for are brought until they are taken, after a restart too (DIRECTORY/due, DIRECTORY/done), once there is a
# file DIRECTORY/receipts. Ends when its standard input is closed.
#
# The last three digits of a number choose: 058 throttled, the first time that it comes; 011 no such number; 099 no answer;
# 005 undeliverable; 007 the receipt comes, and is answered, before the answer.

use strict;
use warnings;
use IO::Select;
use Net::SMPP;

$SIG{PIPE} = 'IGNORE';
$SIG{__WARN__} = sub { };
my ($directory, $port, $password) = @ARGV;
my $server = Net::SMPP->new_listen('127.0.0.1', port => $port, smpp_version => 0x34, async => 1) or die "port: $!";
$| = 1;
print $server->sockport, "\n";

sub note {
    my ($name, @words) = @_;
    open(my $file, '>>', "$directory/$name") or die "$name: $!";
    syswrite($file, join(' ', @words) . "\n");
    close($file);
}

sub noted {
    my ($name) = @_;
    open(my $file, '<', "$directory/$name") or return ();
    return map { [split] } <$file>;
}

my %done = map { $_->[0] => 1 } noted('done');
my %due = map { $_->[0] => $_->[1] } grep { !$done{$_->[0]} } noted('due');
my %asked;    # receipts under way: number of the PDU -> id
my $next = 1 + scalar noted('due');
my %throttled;
my %held;     # answers that wait until a receipt has been answered
my ($connection, $is_bound);

sub receipt {
    my ($id) = @_;
    my $text = "id:$id sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:$due{$id} err:000 text:";
    my $seq = $connection->deliver_sm(
        source_addr_ton => 1, source_addr_npi => 1, source_addr => '393330000000', destination_addr => 'TS-CNS',
        esm_class => 4, short_message => $text, async => 1);
    $asked{$seq} = $id;
}

sub submit {
    my ($pdu) = @_;
    my ($how) = $pdu->{destination_addr} =~ /(\d{3})$/;
    my $answer = sub { $connection->submit_sm_resp(seq => $pdu->{seq}, status => $_[0], message_id => $_[1]) };
    return if $how eq '099';
    return $answer->(0x0b, '') if $how eq '011';
    return $answer->(0x58, '') if $how eq '058' && !$throttled{$pdu->{destination_addr}}++;
    my $id = sprintf('%08X', $next++);
    note('messages', $id, map({ $pdu->{$_} } qw(source_addr destination_addr esm_class data_coding registered_delivery)),
        unpack('H*', $pdu->{short_message}));
    my $stat = $how eq '005' ? 'UNDELIV' : 'DELIVRD';
    if ($pdu->{registered_delivery} == 1 || $stat eq 'UNDELIV') {
        note('due', $id, $stat);
        $due{$id} = $stat;
    }
    if ($how eq '007') {
        receipt($id);
        $held{$id} = $answer;
        return;
    }
    $answer->(0, $id);
}

sub answer {
    my ($pdu) = @_;
    my $cmd = $pdu->{cmd};
    if ($cmd == Net::SMPP::CMD_bind_transceiver) {
        my $is_let_in = $pdu->{password} eq $password && $pdu->{interface_version} == 0x34;
        $is_bound = $is_let_in;
        note('binds', $pdu->{system_id}, $is_let_in ? 'ok' : 'refused');
        $connection->bind_transceiver_resp(seq => $pdu->{seq}, status => $is_let_in ? 0 : 0x0e, system_id => 'prova');
    } elsif ($cmd == Net::SMPP::CMD_submit_sm) {
        submit($pdu);
    } elsif ($cmd == Net::SMPP::CMD_enquire_link) {
        note('enquired', 'yes');
        $connection->enquire_link_resp(seq => $pdu->{seq});
    } elsif ($cmd == 0x80000005) {
        my $id = delete $asked{$pdu->{seq}};
        note('answered', $id, $pdu->{status});
        my $answer = delete $held{$id};
        $answer->(0, $id) if $answer;
        if ($pdu->{status} == 0) {
            note('done', $id);
            delete $due{$id};
        }
    }
}

my $all = IO::Select->new($server, \*STDIN);
while (1) {
    for my $ready ($all->can_read(0.2)) {
        if ($ready == \*STDIN) {
            exit 0 unless sysread(STDIN, my $byte, 1);
        } elsif ($ready == $server) {
            if ($connection) {
                $all->remove($connection);
                close($connection);
            }
            $connection = $server->accept or next;
            %asked = ();
            $is_bound = 0;
            $all->add($connection);
        } else {
            my $pdu = $connection->read_pdu;
            if ($pdu) {
                answer($pdu);
            } else {
                $all->remove($connection);
                close($connection);
                undef $connection;
            }
        }
    }
    my %under_way = map { $_ => 1 } values %asked;
    for my $id (grep { !$under_way{$_} } sort keys %due) {
        receipt($id) if $connection && $is_bound && -e "$directory/receipts";
    }
}
