-- With its days.
drop table event;
